"""Where the classes of a user's images come from, and what is noticed about them."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_core.config.schema import ImageDomains, LabelColumns
from gan_core.data.prepared import Prepared
from gan_core.runtime.errors import DataError
from stages import prepare_images as stage
from tests.test_images import OFFICIAL, PNGS, SPEC, X, as_folder, as_parquet, as_tar, as_zip, prepare, saved_npz

N = 300
NAMES = [("cat", "dog", "Fox, red")[k % 3] for k in range(N)]
FILES = [(f"{k:03}.png", PNGS[k]) for k in range(N)]
DEEP = [(f"{k // 100:05}/img{k:08}.png", PNGS[k]) for k in range(N)]


def text(rows: list[list[str]], parts: str = ",") -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=parts).writerows(rows)
    return stream.getvalue().encode()


def columns(label: str | None = None, table: str | None = None, file: str | None = None) -> LabelColumns:
    return LabelColumns(table=table, file=file, label=label)


def with_file(path: Path, name: str, content: bytes | str) -> Path:
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def webdataset(rows: range) -> list[tuple[str, bytes]]:
    return [f for k in rows for f in ((f"{k:06}.png", PNGS[k]), (f"{k:06}.cls", NAMES[k].encode()))]


def shards(path: Path) -> Path:
    path.mkdir()
    for n in range(3):
        as_tar(path / f"shard-{n:04}.tar", webdataset(range(100 * n, 100 * n + 100)), "w")
    return path


def a_zip_a_class(path: Path) -> Path:
    path.mkdir()
    for name in set(NAMES):
        as_zip(path / f"{name}.zip", [(f"{name}/{k}.png", PNGS[k]) for k in range(N) if NAMES[k] == name])
    return path


def of_one(name: str) -> bytes:
    return json.dumps({"kind": name}).encode()


def dataset_json(label: Callable[[int], object]) -> bytes:
    return json.dumps({"labels": [[name, label(k)] for k, (name, _) in enumerate(DEEP)]}).encode()


LABELLED = [(name, NAMES[k]) for k, (name, _) in enumerate(FILES)]
ROWS = [{"pic": f"./pictures\\{n}", "kind": NAMES[k], "age": k % 7} for k, (n, _) in enumerate(FILES)]
SAID = {"csv": [["pic", "kind", "age"], *([r["pic"], r["kind"], str(r["age"])] for r in ROWS)]}
SOURCES: dict[str, tuple[Callable[[Path], Path], object]] = {
    "folders": (lambda p: as_folder(p / "d", [(f"{NAMES[k]}/{n}", f) for k, (n, f) in enumerate(FILES)]), True),
    "csv, the only other column": (
        lambda p: with_file(as_folder(p / "d", FILES), "who.csv", text([["photo", "of"], *map(list, LABELLED)])),
        columns(table="who.csv"),
    ),
    "csv with declared columns": (
        lambda p: with_file(as_folder(p / "d", FILES), "who.csv", b"\xef\xbb\xbf" + text(SAID["csv"])),
        columns("kind", "who.csv", "pic"),
    ),
    "semicolons in a zip": (
        lambda p: as_zip(p / "d.zip", [*((f"set/{n}", f) for n, f in FILES), ("set/who.csv", text(SAID["csv"], ";"))]),
        columns("kind", "who.csv"),
    ),
    "tsv in a tar": (
        lambda p: as_tar(p / "d.tar", [*FILES, ("who.tsv", text(SAID["csv"], "\t"))]), columns("kind", "who.tsv")
    ),
    "json list": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.json", json.dumps(ROWS)), columns("kind", "a.json")
    ),
    "json mapping": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.json", json.dumps({f"{k:03}": NAMES[k] for k in range(N)})),
        columns(table="a.json"),
    ),
    "json lines": (
        lambda p: with_file(as_folder(p / "d", FILES), "metadata.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n"),
        columns("kind", "metadata.jsonl"),
    ),
    "dataset.json in a zip": (
        lambda p: as_zip(p / "d.zip", [*DEEP, ("dataset.json", dataset_json(lambda k: NAMES[k]))]), True
    ),
    "webdataset": (lambda p: as_tar(p / "d.tar", webdataset(range(N)), "w"), True),
    "webdataset in shards": (lambda p: shards(p / "d"), True),
    "a zip a class": (lambda p: a_zip_a_class(p / "d"), True),
    "json beside each": (
        lambda p: as_folder(p / "d", [f for k in range(N) for f in (FILES[k], (f"{k:03}.json", of_one(NAMES[k])))]),
        columns("kind"),
    ),
    "npz of words": (lambda p: saved_npz(p, imgs=X[:N], targets=np.array(NAMES)), True),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_classes_come_from_folders_tables_and_files_alike(source: str, tmp_path: Path) -> None:
    make, labels = SOURCES[source]
    data = prepare(replace(SPEC, labels=labels), make(tmp_path), tmp_path / "out")  # type: ignore[arg-type]
    assert data.index["class_names"] == sorted(set(NAMES))
    assert not data.index["found"]["other_files"], "what names the classes is read, not left alone"
    expected = sorted((X[k].tobytes(), NAMES[k]) for k in range(N))
    names = data.index["class_names"]
    got = [(x.tobytes(), names[y]) for part in ("train", "heldout")
           for x, y in zip(data.raw(part)[..., 0].numpy(), data.labels(part).tolist(), strict=True)]  # fmt: skip
    assert sorted(got) == expected


def test_whole_numbers_are_in_their_order_as_folders_and_stay_what_they_are_as_numbers(tmp_path: Path) -> None:
    """Folders 0 to 10 are classes 0 to 10, not 0, 1, 10, 2; of an array a number is the class, a large one a name."""
    folders = as_folder(tmp_path / "d", [(f"{k % 11}/{k}.png", PNGS[k]) for k in range(N)])
    assert prepare(SPEC, folders, tmp_path / "a").index["class_names"] == [str(k) for k in range(11)]
    labels = np.arange(N) % 3
    found = prepare(SPEC, saved_npz(tmp_path, images=X[:N], labels=labels * 100_042), tmp_path / "b").index
    assert found["class_names"] == ["0", "100042", "200084"]
    one_hot = np.eye(4)[np.where(labels == 2, 3, labels)]
    found = prepare(SPEC, saved_npz(tmp_path, images=X[:N], labels=one_hot), tmp_path / "c").index
    assert found["class_names"] == ["0", "1", "2", "3"]
    assert found["found"]["classes_without_images"] == ["2"]


TWINS = [("Cat", "cat"), ("caf\u00e9", "cafe\u0301"), ("cat", "cat "), ("1", "01")]


@pytest.mark.parametrize("twins", TWINS)
def test_classes_that_differ_in_spelling_alone_stop_it_until_a_rule_is_declared(
    twins: tuple[str, str], tmp_path
) -> None:
    path = as_folder(tmp_path / "d", [(f"{twins[k % 2]}/{k}.png", PNGS[k]) for k in range(N)])
    with pytest.raises(DataError, match=r"differ in their spelling alone .*; declare spelling: folded to join them"):
        prepare(SPEC, path, tmp_path / "out")
    apart = prepare(replace(SPEC, spelling="as_is"), path, tmp_path / "out").index
    assert apart["class_names"] == sorted(twins)
    assert any("spelling alone" in line for line in apart["found"]["odd"])
    assert len(prepare(replace(SPEC, spelling="folded"), path, tmp_path / "out").index["class_names"]) == 1


def test_what_a_table_says_of_no_image_and_images_without_a_row_are_told(tmp_path: Path) -> None:
    """Rows that name nothing and images without a row are left out and named; two classes or none make a bad image."""
    rows = [["file", "label"], *([n, NAMES[k]] for k, (n, _) in enumerate(FILES[5:], 5)), ["gone.png", "cat"]]
    path = with_file(as_folder(tmp_path / "d", FILES), "t.csv", text(rows))
    spec = replace(SPEC, labels=columns(table="t.csv"))
    found = prepare(spec, path, tmp_path / "out").index["found"]
    assert found["packed"] == N - 5
    assert "5 images have no row in t.csv and are left out: '000.png'" in found["odd"][0]
    assert "1 rows of t.csv name no image that is there: 'gone.png'" in found["odd"][1]
    rows += [["010.png", "cat"]]
    rows[8] = ["012.png", ""]
    with_file(path, "t.csv", text(rows))
    with pytest.raises(DataError, match=r"010\.png has two classes in t\.csv, 'dog' and 'cat'"):
        prepare(spec, path, tmp_path / "out2")
    found = prepare(replace(spec, on_bad_image="skip"), path, tmp_path / "out2").index["found"]
    assert (found["packed"], found["skipped"]) == (N - 7, 2)


REFUSED: dict[str, tuple[Callable[[Path], Path], object, str]] = {
    "a table that is not there": (
        lambda p: with_file(as_folder(p / "d", FILES), "b.csv", "x"), columns(table="a.csv"),
        r"names the table 'a\.csv', which is not in .*; there are 'b\.csv'",
    ),
    "a column that is not there": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.csv", text(SAID["csv"])), columns("species", "a.csv"),
        r"a\.csv has no column 'species', only 'pic', 'kind', 'age'",
    ),
    "two columns that could be it": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.csv", text(SAID["csv"])), columns(table="a.csv"),
        r"which column of a\.csv is the class\? It has 'pic', 'kind', 'age'; declare labels: \{table: a\.csv, label",
    ),
    "a table of other files": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.csv", "file,label\nx.png,a\n"), columns(table="a.csv"),
        r"a\.csv names 0 of 300 images in its column 'file', which says for example 'x\.png'",
    ),
    "a table that is none": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.json", "[1, 2]"), columns(table="a.json"),
        r"a\.json cannot be read as a table",
    ),
    "a flat folder beside a table": (
        lambda p: with_file(as_folder(p / "d", FILES), "a.csv", "x"), True,
        r"lies in no folder that names its class; declare labels: a\.csv, if that names them, or set labels to false",
    ),
    "dataset.json without labels": (
        lambda p: as_zip(p / "d.zip", [*DEEP, ("dataset.json", b'{"labels": null}')]), True,
        r"dataset\.json holds no labels; set labels to false",
    ),
    "one folder around the classes": (
        lambda p: as_folder(p / "d", [(f"images/{NAMES[k]}/{n}", f) for k, (n, f) in enumerate(FILES)]), True,
        r"lie in the one folder 'images', whose folders are called 'Fox, red', 'cat', 'dog'; let `path` be .*/d/images",
    ),
    "train alone": (
        lambda p: as_folder(p / "d", [(f"train/{NAMES[k]}/{n}", f) for k, (n, f) in enumerate(FILES)]), True,
        r"are called train, which are parts, not classes; declare heldout: official, or let `path` be .*/d/train",
    ),
    "copies of one": (
        lambda p: as_folder(p / "d", [(f"a/{n}", PNGS[0]) for n, _ in FILES]), True,
        r"all 300 images in .* are copies of one",
    ),
    "all of one shade": (
        lambda p: saved_npz(p, images=np.arange(N, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)), False,
        r"all 300 images in .* are of one shade",
    ),
    "LMDB": (
        lambda p: as_folder(p / "d", [("data.mdb", b"x"), ("lock.mdb", b"x")]), True,
        r"contains 0 images .*; it holds 2 \.mdb; LMDB is not read: write images or Parquet",
    ),
    "a pickle": (
        lambda p: with_file(as_folder(p, []), "data_batch_1", b"\x80\x02}q\x01") / "data_batch_1", True,
        r"but Python pickle; pickles are never read: save their arrays",
    ),
    "Parquet of a column that is not there": (
        lambda p: as_parquet(p / "d"), columns("species"),
        r"has no column 'species' among 'image', 'label'; declare labels: \{label: <column>\}",
    ),
    "a table for Parquet": (lambda p: as_parquet(p / "d"), columns(table="a.csv"), r"is Parquet, which is a table"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_surely_a_mistake_stops_it_in_one_sentence(row: str, tmp_path: Path) -> None:
    make, labels, said = REFUSED[row]
    with pytest.raises(DataError, match=said) as caught:
        prepare(replace(SPEC, labels=labels), make(tmp_path), tmp_path / "out")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_class_that_is_only_held_out_stops_it(tmp_path: Path) -> None:
    """Tiny ImageNet as it unpacks: the folder of its test images is no class."""
    files = [(f"train/n{k % 3}/images/{k}.png", PNGS[k]) for k in range(N)]
    files += [(f"val/images/{k}.png", PNGS[k]) for k in range(N, N + 100)]
    with pytest.raises(DataError, match=r"held out are images of 'images', of which none is trained on"):
        prepare(OFFICIAL, as_folder(tmp_path / "d", files), tmp_path / "out")


@pytest.mark.parametrize("place", ["A/train", "train/A", "trainA"])
def test_parts_of_domains_lie_in_any_order(place: str, tmp_path: Path) -> None:
    files = [(f"{place.replace('A', 'AB'[k % 2])}/{k}.png", PNGS[k]) for k in range(200)]
    test = place.replace("train", "test")
    files += [(f"{test.replace('A', 'AB'[k % 2])}/{k}.png", PNGS[k]) for k in range(200, 400)]
    path = as_folder(tmp_path / "d", files)
    spec = ImageDomains(str(path), False, "official", 8, 1, "exact", 0, "error", None, domains=["A", "B"])
    data = prepare(spec, path, tmp_path / "out")
    assert data.index["counts"] == data.index["other"]["counts"] == {"train": 100, "heldout": 100}
    assert data.other is not None
    assert data.other.raw("train")[0, ..., 0].numpy().tobytes() == X[1].tobytes()
    with pytest.raises(DataError, match=r"domain '[AC]' has 0 images: .* and has '(A/test|test/A|testA)'"):
        prepare(replace(spec, domains=["A", "C"], heldout=0.2), path, tmp_path / "out2")


def test_what_systems_leave_behind_is_not_read_and_odd_files_are_told_by_their_content(tmp_path: Path) -> None:
    files = [*((f"a/{n}", f) for n, f in FILES[:200]), *((f"b/{n[:3]}", f) for n, f in FILES[200:250])]
    files += [(f"b/{n[:3]}.jfif_large", f) for n, f in FILES[250:]]
    files += [(f"{where}/{k}.png", PNGS[k]) for where in ("@eaDir", "a/__MACOSX", "a/.thumbs") for k in range(5)]
    files += [("README", b"hello"), ("a/notes.txt", b"x"), ("b/page", b"<!doctype html>")]
    found = prepare(SPEC, as_folder(tmp_path / "d", files), tmp_path / "out").index
    assert found["class_names"] == ["a", "b"]
    assert found["found"]["packed"] == N
    assert found["found"]["other_files"] == {".txt": 1, "without suffix": 2}
    assert "100 images are not called as images are" in found["found"]["odd"][0]


def test_links_lead_into_a_declared_root_and_their_content_is_read(tmp_path: Path) -> None:
    as_folder(tmp_path / "photos", FILES)
    for k, (name, _) in enumerate(FILES):
        link = tmp_path / "d" / NAMES[k] / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "photos" / name)
    with pytest.raises(DataError, match=r"is a link to .*/photos/\d+\.png; declare links: .*/photos"):
        prepare(SPEC, tmp_path / "d", tmp_path / "out")
    spec = replace(SPEC, links=str(tmp_path / "photos"))
    assert prepare(spec, tmp_path / "d", tmp_path / "out").index["found"]["packed"] == N
    (tmp_path / "d" / "all").symlink_to(tmp_path / "photos")
    with pytest.raises(DataError, match=r"is a link to the folder .*, behind which no change is noticed"):
        prepare(spec, tmp_path / "d", tmp_path / "out")


def test_copies_under_two_classes_are_named_and_uneven_classes_told(tmp_path: Path) -> None:
    files = [(f"cat/{n}", f) for n, f in FILES] + [(f"dog/{n}", f) for n, f in FILES[:3]]
    found = prepare(SPEC, as_folder(tmp_path / "d", files), tmp_path / "out").index["found"]
    odd = "\n".join(found["odd"])
    assert "d/cat/000.png and " in odd
    assert "d/dog/000.png are copies under two classes" in odd
    assert "classes are uneven: 'cat' has 300 images, 'dog' 3" in odd
    assert found["says_classes"] == "cat 300, dog 3"


def test_a_set_that_changes_while_it_is_prepared_is_prepared_again(tmp_path, monkeypatch, capsys) -> None:
    """What DVC records after the stage is what was packed: a file that is replaced meanwhile is read again."""
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    shutil.copy(root / "params.yaml", ".")
    path = as_folder(tmp_path / "d", [(f"{NAMES[k][:3]}/{n}", f) for k, (n, f) in enumerate(FILES)])
    declared = f"images:\n  mine: {{path: {path}, labels: true, heldout: 0.25, size: 8, channels: 1, fit: exact, "
    Path("params.yaml").write_text(
        Path("params.yaml").read_text().replace("images: {}", declared + "background: 0, on_bad_image: error}")
    )
    times = []

    def replaced(*_: object) -> None:
        times.append(1)
        if len(times) == 1 or forever:
            entry = path / "cat" / "000.png"
            entry.write_bytes(PNGS[N + len(times)])
            os.utime(entry, ns=(len(times), len(times)))

    monkeypatch.setattr("gan_core.metrics.extractor.save_extractor", replaced)
    forever = False
    stage.main("mine")
    assert len(times) == 2
    assert "have changed meanwhile, so it is prepared again" in capsys.readouterr().out
    data = Prepared(Path("data/prepared/mine"))
    rows = {x.tobytes() for part in ("train", "heldout") for x in data.raw(part)[..., 0].numpy()}
    assert X[N + 1].tobytes() in rows
    assert X[0].tobytes() not in rows
    forever = True
    with pytest.raises(DataError, match=r"kept changing while it was prepared"):
        stage.main("mine")
