"""The report says what was measured, to any reader, whatever is missing and whatever things are called."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan_core.export.manifest import FORMAT
from gan_core.metrics.record import write_figures
from gan_core.report import charts, page, words
from gan_core.report.facts import Facts, read_made
from gan_core.report.pictures import grid
from gan_core.runtime.errors import DataError
from tests.html import Page

HOSTILE = "<b onclick='x()'>\"&run"
PROTOCOL = {"features": "own", "real_count": 359, "fake_count": 600}
CLAIM = {"id": "Z9", "says": "it <holds>", "bar": ">= 1", "figures": [{"x": 1.0}, {"x": 3.0}], "holds": False}
ROW = {"way": HOSTILE, "scope": "draw", "batch": 4, "p50_ms": 1.0, "p99_ms": 2.0, "images_per_s": 12345.0}
TIMED = {
    "machine": {"cpu": "TPU", "cores": 2, "device": "cpu"},
    "subjects": {HOSTILE: {"rows": [ROW | {"of_eager": 1.5}]}},
}
NUMBERS = st.floats(-1e12, 1e12)


def role(space: str = "x") -> dict[str, Any]:
    return {
        "provenance": {
            "network": {"output_space": space, "shape": [1, 8, 8]},
            "notes": {"variant": "gan", "steps": 100, "step": 50},
            "weights_sha256": "w" * 64,
            "data_sha256": "d" * 64,
        },
        "versions": {"torch": "2"},
        "refused": {"g.fp16.onnx": ["PSNR at batch 1 is <30>, allowed 80"]},
        "graphs": {
            "g.onnx": {"precision": "fp32", "checks": {"max abs error at batch 1": {"measured": 1e-6, "allowed": 1e-4}}}
        },
    }


def facts(name: str, fd: float = 1.0, data: str = "digits", **more: Any) -> Facts:
    metrics = {"generator": {"fd_own": fd, "coverage_own": 0.8, "real": {"fd_own": 0.2}, "protocol": PROTOCOL}}
    manifest = {
        "format": FORMAT,
        "dataset": data,
        "roles": {"generator": role()},
        "files": {"g.onnx": {"bytes": 1, "sha256": "s" * 64}},
    }
    return Facts(name, **({"metrics": metrics, "manifest": manifest} | more))


def monitored(*kinds: str) -> dict[str, Any]:
    events = [{"step": 10 * k, "kind": kind, "says": f"<{kind}> was seen"} for k, kind in enumerate(kinds)]
    return {"events": events, "series": {"js": [[10, 0.6], [20, 0.69]]}}


def full(name: str) -> Facts:
    """A run with everything that may be there, some of it out of hand."""
    fine = facts(name)
    fine.metrics["generator"] |= {
        "unheard_of": 1e-9,
        "intervals": {"fd_own": [0.9, 1.2]},
        "kid_of_class_own": {HOSTILE: 2.0},
    }
    fine.metrics["generator"]["last"] = {"step": 100, "kid": 7.25, "kid_shipped": 0.5}
    return Facts(
        name,
        fine.metrics | {"f": {"at +0.0": 0.5, "at -1.0": 0.7, "at +1.0": 0.2}},
        fine.manifest,
        [{"step": float(k), "loss": 10.0**k, name: float("nan") if k == 2 else -1.0} for k in range(5)],
        {
            "samples": grid(np.zeros((4, 8, 8, 1), np.uint8), name, name),
            "timeline": grid(np.zeros((4, 8, 8, 3), np.uint8)),
        },
        monitored("mode_collapse", "recovered"),
        [{"step": 50.0, "kid": 0.1}, {"step": 100.0, "kid": 0.2}],
    )


def test_the_page_is_whole_and_needs_no_other() -> None:
    """Well-formed, nothing loaded, every picture decodes, nothing drawn or said that is no number; markup escaped."""
    runs = [facts("bare"), full(HOSTILE), full("plain")]
    made = page.html(runs, [CLAIM], {HOSTILE: {"settings": {HOSTILE: HOSTILE}}}, [TIMED])
    read = Page.read(made)
    assert read.faults() == []
    assert {f"run-{run.name}" for run in runs} <= read.ids
    assert HOSTILE in read.text
    assert "<mode_collapse> was seen" in read.text
    assert "onclick" not in re.sub("&lt;.*?&gt;", "", made)
    assert len(read.pictures) == 2 * 3, "two pictures of two runs, and their thumbnails"
    assert page.html(runs, [CLAIM], {HOSTILE: {"settings": {HOSTILE: HOSTILE}}}, [TIMED]) == made
    for said in (
        "not shipped PSNR at batch 1 is <30>",
        "the last step, 100, has KID-own 7.25, what ships 0.500",
        "TPU",
        "12,345",
    ):
        assert said in read.text


def test_large_pictures_do_not_make_a_large_page(rng: np.random.Generator) -> None:
    """As 64 photographs of 64 x 64 pixels would: smooth, and of more colours than a palette holds."""
    coarse = rng.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    photographs = np.stack([np.asarray(Image.fromarray(x).resize((64, 64))) for x in coarse])
    samples = grid(photographs)
    assert len(samples) > page.LARGE
    made = page.html([facts("photographs", pictures={"samples": samples})])
    assert len(made) < 2 * len(samples), "it is there twice, and as text"
    read = Page.read(made)
    assert read.faults() == []
    grey = np.asarray(Image.open(io.BytesIO(samples)).convert("L"), float)
    for picture in read.pictures:
        assert np.abs(np.asarray(picture.convert("L"), float) - grey).mean() < 4, "of 255"


def test_what_was_found_in_a_user_s_own_images_is_told_once() -> None:
    """Of two roles on the same images; what they are called is text, whatever it is."""
    one = facts("own")
    classes = {HOSTILE: {"train": 1234, "heldout": 56}, "dog": {"train": 0, "heldout": 1}}
    data = {
        "found": "1,291 images packed; 3 are near-blank",
        "counts": {"train": 1234, "heldout": 57},
        "classes": classes,
        "odd": [f"no image has the class '{HOSTILE}'"],
    }
    one.metrics["generator"]["data"] = data
    one.metrics["x_b"] = one.metrics["generator"]
    read = Page.read(page.html([one]))
    assert read.faults() == []
    assert read.text.count("1,291 images packed; 3 are near-blank. 1,234 are trained on, 57 measured with.") == 1
    assert f"0{HOSTILE}1,23456" in read.text
    assert f"no image has the class '{HOSTILE}'" in read.text
    assert "The data" not in Page.read(page.html([facts("declared")])).text


def test_no_runs_and_no_claims_make_a_page() -> None:
    assert Page.read(page.html([])).faults() == []


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    """Of a run's files only figures and manifest must be there."""
    one = facts("gan")
    write_figures(tmp_path / "metrics.json", one.metrics)
    (tmp_path / "manifest.json").write_text(json.dumps(one.manifest))
    read = Facts.read("gan", tmp_path, tmp_path)
    assert read == Facts("gan", one.metrics, one.manifest, [], {}, None, [])
    said = Page.read(page.html([read]))
    assert said.faults() == []
    for heading in ("Losses", "On the way", "Details", "Detected in training"):
        assert heading not in said.text
    assert "not monitored" in said.text
    (tmp_path / "pictures").mkdir()
    for name in ("pictures/b", "pictures/a", "pictures/timeline", "samples"):
        (tmp_path / f"{name}.png").write_bytes(grid(np.zeros((1, 4, 4, 1), np.uint8)))
    (tmp_path / "loss.csv").write_text("step,a,b\n1,0.5,\n2,,3\n")
    read = Facts.read("gan", tmp_path, tmp_path)
    assert list(read.pictures) == ["samples", "timeline", "a", "b"]
    assert list(read.losses) == [{"step": 1, "a": 0.5}, {"step": 2, "b": 3}]


@pytest.mark.parametrize(
    ("health", "verdict"),
    [
        (None, ("none", "not monitored")),
        (monitored(), ("good", "healthy")),
        (monitored("mode_collapse"), ("bad", "mode collapse")),
        (monitored("mode_collapse", "recovered"), ("warn", "mode collapse, over")),
        (monitored("nan", "mode_collapse", "recovered"), ("bad", "nan and mode collapse")),
    ],
)
def test_the_verdict_on_a_run_in_words(health: Any, verdict: tuple[str, str]) -> None:
    run = facts("gan", health=health)
    assert words.health(run) == verdict
    _, wrong, _ = page.answers([run], words.groups([run]), [])
    assert wrong.level == ("warn" if verdict[0] in ("warn", "bad") else "good")
    assert (("gan", verdict[1]) in wrong.says) == (verdict[0] in ("warn", "bad"))


def test_what_the_figures_say_is_said() -> None:
    """A calm training does not make samples good: the verdict on them is the run's."""
    run = facts("gan", health=monitored())
    run.metrics["generator"]["verdicts"] = {"covers_little": "recall is <low>"}
    assert words.health(run) == ("bad", "covers little")
    assert page.troubles([run]) == [("gan", "covers little"), ("gan", "recall is <low>")]
    read = Page.read(page.html([run]))
    assert read.faults() == []
    assert "What the figures say" in read.text
    assert "covers little" in words.summary([run], [], Path("r"))


def test_runs_that_are_not_made_yet_are_named_beside_those_that_are(tmp_path: Path) -> None:
    run = facts("gan", health=monitored())
    assert "not made yet: a, b (`dvc repro` makes them)" in words.summary([run], ["a", "b"], Path("r"))
    assert "not made yet" not in words.summary([run], [], Path("r"))
    read = Page.read(page.html([run], others=["a", "b"]))
    assert read.faults() == []
    assert "Not made yet: a, b (`dvc repro` makes them)." in read.text
    with pytest.raises(DataError, match=r"no declared run is finished \(gan, vae\); `dvc repro` makes them"):
        read_made({name: (tmp_path / name, tmp_path / name) for name in ("gan", "vae")})


def test_a_figure_says_its_features_and_what_real_samples_score() -> None:
    assert [words.named(k) for k in ("fd_lite0", "kid_own", "fd_inception", "class_kl")] == [
        "FD-Lite0",
        "KID-own",
        "FID",
        "class kl",
    ]
    text = Page.read(page.html([facts("gan")])).text
    assert "FD-own" in text
    assert "real 0.200" in text


def test_only_what_can_be_compared_is_ranked() -> None:
    """By FID within one data set and space; the intervals say how sure it is."""
    two_ways = facts("cycle", data="digits")
    two_ways.metrics["back"] = two_ways.metrics["generator"] | {"fd_own": 0.01}
    two_ways.manifest["roles"]["back"] = role("x_b")
    runs = [facts("worse", 2.0), facts("else", 0.1, "ring"), facts("best", 0.5), two_ways]
    found = {group.title: [entry.title for entry in group.entries] for group in words.groups(runs)}
    assert found == {
        "digits": ["best", "cycle generator", "worse"],
        "ring": ["else"],
        "digits, second domain": ["cycle back"],
    }
    first, second = words.groups([facts("a", 1.0), facts("b", 2.0)])[0].entries
    assert words.Group("d", "x", (first, second)).verdict == "a, FD-own 1.00 (real 0.200); next b, 2.00"
    for spans, sure in ((([0.8, 1.2], [1.9, 2.1]), "do not touch"), (([0.8, 1.2], [1.1, 2.1]), "overlap")):
        for entry, span in zip((first, second), spans, strict=True):
            entry.found["intervals"] = {"fd_own": span}  # type: ignore[index]
        assert sure in words.Group("d", "x", (first, second)).verdict


def test_what_is_wrong_is_never_best() -> None:
    """A copier has the smallest Frechet distance of all, and is ranked behind what is well."""
    runs = [facts("copier", 0.1), facts("good", 0.5), facts("better", 0.4)]
    runs[0].metrics["generator"]["verdicts"] = {"copies": "98% of the samples are copies"}
    (group,) = words.groups(runs)
    assert [entry.title for entry in group.entries] == ["better", "good", "copier"]
    two = words.groups([runs[0], runs[1]])[0]
    assert two.verdict == "good, FD-own 0.500 (real 0.200); the figures of all others say what is wrong with them"


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_every_scale_keeps_order_and_has_marks_to_read_it_by(values: list[float]) -> None:
    scale = charts.scale(values)
    shares = [scale.share(v) for v in sorted(values)]
    assert shares == sorted(shares)
    assert shares[0] >= -1e-9
    assert shares[-1] <= 1 + 1e-9
    assert all(-1e-6 <= scale.share(tick) <= 1 + 1e-6 for tick in scale.ticks)
    assert len(scale.ticks) >= 1


def test_a_scale_is_logarithmic_where_a_linear_one_hides() -> None:
    assert charts.scale([1.0, 2.0, 10.0]).name == ""
    assert charts.scale([1e-3, 1.0, 1e3]).name == "log scale"
    assert charts.scale([-1e3, -0.1, 0.0, 0.1, 0.2]).name == "linear near 0, log beyond"
    small = charts.scale([-1e3, -0.1, 0.0, 0.1, 0.2])
    assert small.share(0.2) - small.share(-0.1) > 0.1, "what is small can be told apart"


def places(chart: str) -> list[tuple[float, float]]:
    (points,) = re.findall(r"<polyline[^>]*points='([^']*)'", chart)
    return [(float(x), float(y)) for x, y in (p.split(",") for p in points.split())]


def test_a_curve_runs_from_left_to_right() -> None:
    """Whatever order its figures were written in."""
    run = full("r")
    assert run.curves == {"f": [(-1.0, 0.7), (0.0, 0.5), (1.0, 0.2)]}
    assert list(run.measured) == ["generator"]
    drawn = places(charts.curve("f", run.curves["f"]))
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert [y for _, y in drawn] == sorted(y for _, y in drawn), "it falls: y grows downwards"


def test_a_chart_marks_what_ships_and_shows_the_ends() -> None:
    points = [(float(k), float(k % 7)) for k in range(5000)]
    chart = charts.curve("x", points, marked=1234.0, alarms=[100.0])
    drawn = places(chart)
    assert len(drawn) <= charts.MOST + 1, "a long run stays a small page"
    assert drawn[-1][0] == charts.WIDTH - charts.RIGHT
    assert chart.count("class='mark'") == chart.count("class='alarm'") == 1
    assert charts.curve("x", [(0.0, float("nan"))]) == ""


def test_a_bar_is_as_long_as_its_figure() -> None:
    def width(value: float) -> float:
        return float(re.findall(r"width='([\d.]+)'/>", charts.bar(value, None, 4.0))[0])

    assert width(2.0) == pytest.approx(2 * width(1.0), abs=0.1)
    assert width(8.0) == width(4.0), "beyond the top it is cut off, and an arrow says so"
    assert "class='span'" in charts.bar(8.0, None, 4.0)
    assert "class='span'" not in charts.bar(4.0, None, 4.0)


def test_what_the_papers_claim_stands_in_the_report() -> None:
    assert page.claimed(CLAIM)["measured"] == "x 2", "the median of the seeds"
    said = Page.read(page.html([facts("gan")], [CLAIM])).text
    assert "it <holds>" in said
    assert "does not hold" in said
    assert "0 of 1 claims of the papers hold here" in said
