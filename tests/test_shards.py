"""Packed pictures in shards of a store: the same pictures, an order of their own, and what is said of a damaged one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from gan_core.config.load import load_params
from gan_core.config.schema import ImagePairs, Images
from gan_core.data import batches as ordering
from gan_core.data import store as storing
from gan_core.data.batches import Batches, Windows
from gan_core.data.prepare_images import prepare_images
from gan_core.data.prepared import Prepared
from gan_core.data.shards import Rows
from gan_core.data.store import Store
from gan_core.metrics.batching import fixed_rows
from gan_core.runtime.errors import DataError, EnvironmentFailure, FoundryError, InputError
from tests.conftest import DECLARED, ROOT
from tests.test_images import SPEC, as_zip, members

ROW = 64  # bytes of a packed picture


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that is not of this machine's files; what is fetched is kept below the test's folder."""
    monkeypatch.setenv("GAN_SHARDS", str(tmp_path / "fetched"))
    return f"memory://{tmp_path.name}/sets"


def prepared(folder: Path, store: str | None, spec: Images = SPEC, shard: int = 40 * ROW) -> Prepared:
    """400 pictures of ten classes, packed into shards of 40."""
    source = folder / "source.zip"
    if not source.exists():
        as_zip(source, members())
    prepare_images(replace(spec, path=str(source), store=store), folder / f"set-{shard}-{store is None}", shard=shard)
    return Prepared(folder / f"set-{shard}-{store is None}")


def pictures(data: Prepared, part: str) -> Counter[tuple[bytes, int]]:
    labels = data.labels(part)
    assert labels is not None
    raw = data.raw(part)[:]
    return Counter((x.numpy().tobytes(), int(y)) for x, y in zip(raw, labels, strict=True))


@pytest.mark.parametrize("local", [True, False])
def test_a_stored_set_holds_the_same_pictures_with_their_labels_in_an_order_that_says_nothing(
    tmp_path: Path, url: str, local: bool
) -> None:
    stored = prepared(tmp_path, (tmp_path / "store").as_uri() if local else url)
    plain = prepared(tmp_path, None)
    assert [p.name for p in sorted(stored.folder.iterdir())] == ["heldout.y.npy", "index.json", "train.y.npy"]
    assert stored.index["counts"] == plain.index["counts"]
    for part in ("train", "heldout"):
        assert pictures(stored, part) == pictures(plain, part)
    labels = stored.labels("train")
    assert labels is not None
    assert len(labels[:100].unique()) == len(labels[100:200].unique()) == 10, "the source has them class by class"
    shards = stored.index["shards"]["train.x"]
    assert [about["rows"] for about in shards] == [*[40] * (len(labels) // 40), *filter(None, [len(labels) % 40])]
    again = prepared(tmp_path, stored.index["shards"]["url"])
    assert again.index == stored.index
    assert (tmp_path / "fetched").exists() != local, "what lies on this machine is read where it lies"


def test_rows_are_those_of_one_array_however_they_are_asked_for(tmp_path: Path, url: str) -> None:
    raw = prepared(tmp_path, url).raw("train")
    whole = raw[:]
    assert isinstance(raw, Rows)
    assert raw.shape == whole.shape
    assert raw.dtype == whole.dtype
    for rows in (slice(35, 90), slice(-7, None), slice(0, 0), torch.tensor([299, 0, 0, 41]), torch.tensor([-1])):
        assert torch.equal(raw[rows], whole[rows]), rows
    assert torch.equal(raw[77], whole[77])
    assert torch.equal(raw.part(slice(50, 200), (slice(None, None, 2),) * 2)[torch.tensor([3])], whole[53:54, ::2, ::2])


def test_pairs_stay_together(tmp_path: Path, url: str) -> None:
    spec = ImagePairs("?", False, 0.25, 8, 1, "exact", 0, "error", None, pairs="downscaled", scale=2)
    data = prepared(tmp_path, url, spec)
    targets, sources = data.spaces["x_b"].samples("train")[:], data.spaces["x"].samples("train")[:]
    assert sources.shape[2:] == (4, 4)
    plain = prepared(tmp_path, None, spec)
    there = zip(plain.spaces["x"].samples("train")[:], plain.spaces["x_b"].samples("train")[:], strict=True)
    known = {a.numpy().tobytes(): b for a, b in there}
    assert all(torch.equal(known[a.numpy().tobytes()], b) for a, b in zip(sources, targets, strict=True))
    assert len(Batches(data, 16, 0).at(0).x) == 16


def test_the_order_visits_all_once_an_epoch_and_few_blocks_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "WINDOW", 3)
    ahead: list[torch.Tensor] = []
    order = Windows(1003, 10, 50, ahead.append, "cpu", 7, "epoch")
    epochs = [torch.cat([order.rows(e * 100 + i) for i in range(100)]) for e in range(2)]
    for rows in epochs:
        assert len(rows.unique()) == 1000
        for k in range(0, 1000, 10):
            assert len((rows[k : k + 10] // 50).unique()) <= 2 * 3
    assert not torch.equal(*epochs)
    assert len(ahead) == 2 * 6, "seven windows an epoch, and each but the last names the next"
    assert (ahead[0].unique() // 50).unique().numel() == 3
    fresh = Windows(1003, 10, 50, ahead.append, "cpu", 7, "epoch")
    assert torch.equal(fresh.rows(157), order.rows(157)), "a function of the seed and of i"


def test_batches_do_not_depend_on_the_size_of_shards_or_on_where_they_begin(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "SIZE", 30 * ROW)
    monkeypatch.setattr(ordering, "WINDOW", 2)
    sets = [prepared(tmp_path, url, replace(SPEC, flip=True), shard) for shard in (40 * ROW, 7 * ROW, 1 << 20)]
    runs = [Batches(data, 16, 3) for data in sets]
    for i in range(40):
        first, *others = (run.at(i) for run in runs)
        assert all(torch.equal(first.x, b.x) and torch.equal(first.y, b.y) for b in others)
    assert torch.equal(Batches(sets[0], 16, 3).at(33).x, runs[1].at(33).x)
    aside = Batches(sets[0], 16, 3, aside=0.2)
    seen = {x.numpy().tobytes() for i in range(20) for x in aside.at(i).x}
    assert not seen & {x.numpy().tobytes() for x in aside.aside(0).x} - {x.numpy().tobytes() for x in runs[0].at(0).x}


def test_what_comes_next_is_on_its_way(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pairs, both: once a window has begun, the shards of the next are fetched without being asked for."""
    monkeypatch.setattr(ordering, "SIZE", 30 * ROW)
    monkeypatch.setattr(ordering, "WINDOW", 2)
    pairs = ImagePairs("?", False, 0.25, 8, 1, "exact", 0, "error", None, pairs="downscaled", scale=2)
    run = Batches(prepared(tmp_path, url, pairs), 16, 3)
    run.at(0)
    order = run.epochs["x"]
    assert isinstance(order, Windows)
    wanted = {k for raw in run.samples.values() for k in raw.shards_of(order._rows_of(1))}  # type: ignore[union-attr]
    assert 4 <= len(wanted) < len(run.samples["x"].names)  # type: ignore[union-attr]
    deadline = time.monotonic() + 10
    while not wanted <= {path.stem for path in (tmp_path / "fetched").glob("*.npy")}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_fetched_stays_within_its_room(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read twice from end to end, and in any order: the same, with room for two shards of twenty."""
    rows = np.random.default_rng(0).integers(0, 256, (20, 1 << 19), dtype=np.uint8)
    monkeypatch.setenv("GAN_SHARDS_MB", "1")
    store, shards = Store(url), []
    for k, row in enumerate(rows):
        np.save(tmp_path / f"{k}.npy", row.reshape(1, 1 << 19, 1, 1))
        shards.append({"rows": 1, **store.put(tmp_path / f"{k}.npy")})
    stored, most = Rows(Store(url), shards, (1 << 19, 1, 1), np.uint8), 0
    for k in [*range(20), *range(20), *np.random.default_rng(1).permutation(20).tolist()]:
        assert np.array_equal(stored[int(k)].flatten().numpy(), rows[int(k)])
        most = max(most, sum(p.stat().st_size for p in (tmp_path / "fetched").iterdir()))
    assert most <= 2 << 20
    assert not list((tmp_path / "fetched").glob("*.tmp"))


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    ("harm", "said"), [("flipped", "is corrupt, not what"), ("another", "is corrupt"), ("gone", "is missing: run")]
)
def test_a_damaged_shard_is_named_and_no_other_is_harmed(
    tmp_path: Path, url: str, local: bool, harm: str, said: str
) -> None:
    data = prepared(tmp_path, (tmp_path / "store").as_uri() if local else url)
    shards = data.index["shards"]
    name, other = (shards["train.x"][k]["sha256"] for k in (1, 2))
    fs, root = fsspec.core.url_to_fs(shards["url"])
    at, content = f"{root}/{name}.npy", fs.cat_file(f"{root}/{name}.npy")
    match harm:
        case "flipped":
            fs.pipe_file(at, content[:-1] + bytes([content[-1] ^ 1]))
        case "another":
            fs.pipe_file(at, fs.cat_file(f"{root}/{other}.npy"))
        case "gone":
            fs.rm_file(at)
    raw = Prepared(data.folder).raw("train")
    assert len(raw[:40]) == 40
    with pytest.raises(DataError, match=f"{name}.npy {said}.*`dvc repro --force`"):
        raw[39:41]
    fs.pipe_file(at, content)
    assert len(raw[39:41]) == 2, "put back, it is read"


def test_a_connection_that_breaks_is_tried_again(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "PAUSE", 0.0)
    raw, fs = prepared(tmp_path, url).raw("train"), fsspec.filesystem("memory")
    fetch, breaks = type(fs).get_file, [ConnectionError("reset by peer")] * 2

    def shaky(*asked: object, **how: object) -> None:
        if breaks:
            raise breaks.pop()
        fetch(*asked, **how)

    monkeypatch.setattr(type(fs), "get_file", shaky)
    assert len(raw[:40]) == 40
    breaks += [ConnectionError("reset by peer")] * 9
    with pytest.raises(EnvironmentFailure, match=r"npy cannot be fetched: reset by peer$"):
        raw[40:80]


def test_a_process_that_ends_waits_for_no_more_than_has_begun() -> None:
    """A hundred seconds of work are before it, and one that waits for the last of them."""
    code = """
import time
from gan_core.runtime.process import Background
some, one = Background(2), Background(1)
given = [some.submit(lambda: time.sleep(1)) for _ in range(200)]
one.submit(lambda: given[-1].result())
assert some.submit(lambda: 1).done() is False
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_figures_look_at_neighbours(tmp_path: Path, url: str) -> None:
    """Which few shards hold; and at all, where there are no more."""
    train = prepared(tmp_path, url).samples("train")
    rows = fixed_rows(train, 50, "seen")
    assert torch.equal((rows[1:] - rows[:-1]) % len(train), torch.ones(49, dtype=torch.int64))
    assert torch.equal(fixed_rows(train, 10**6, "seen").sort().values, torch.arange(len(train)))
    assert int(rows[0]) != int(fixed_rows(train, 50, "another")[0])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("store: s4://bucket/sets", "images.mine.store is 's4://bucket/sets', and fsspec knows no s4://"),
        ("store: data/shards", "images.mine.store"),
    ],
)
def test_an_address_that_nothing_reads_is_refused(tmp_path: Path, line: str, said: str) -> None:
    entry = (
        "images:\n  mine: {path: mine, labels: false, heldout: 0.2, size: 8, channels: 1, fit: crop, background: 0, "
    )
    (tmp_path / "params.yaml").write_text(
        DECLARED.read_text().replace("images: {}", f"{entry}on_bad_image: error, {line}}}", 1)
    )
    with pytest.raises(InputError, match=said):
        load_params(tmp_path / "params.yaml")


def test_a_store_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FoundryError, match=r"file:///.*/file/sets cannot be written to: "):
        prepared(tmp_path, f"{(tmp_path / 'file').as_uri()}/sets")
    assert {p.name for p in tmp_path.iterdir()} == {"source.zip", "file"}, "nothing is left behind"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_what_stays_on_the_host_trains_as_what_lies_on_the_gpu(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, stored = prepared(tmp_path, None, replace(SPEC, flip=True)), prepared(tmp_path, url)
    on_gpu = Batches(plain, 16, 3, device="cuda")
    monkeypatch.setattr(ordering, "ON_DEVICE", 0.0)
    on_host = Batches(plain, 16, 3, device="cuda")
    assert on_gpu.samples["x"].device.type == "cuda"
    assert on_host.samples["x"].device.type == "cpu"
    for i in (0, 1, 2, 50, 3):
        assert torch.equal(on_gpu.at(i).x, on_host.at(i).x)
    assert torch.equal(Batches(stored, 16, 3, device="cuda").at(5).x.cpu(), Batches(stored, 16, 3).at(5).x)
