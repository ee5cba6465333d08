"""The pipeline as a person runs it: real DVC, in folders of its own."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors
import safetensors.numpy
import yaml
from google.protobuf import text_format
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from tritonclient.grpc import model_config_pb2 as pb

from gan_core.core import artifact
from gan_core.data.prepared import Prepared
from gan_core.export.manifest import manifest_of
from gan_core.metrics.record import read_figures
from gan_core.report.facts import Facts
from gan_core.report.pictures import caption
from gan_core.runtime import closure, files
from gan_core.runtime.errors import DataError
from gan_core.serving.client import Generator
from gan_core.training.checkpoint import NAME
from gan_core.training.snapshots import read_snapshots
from tests import foreign
from tests.chaos import children
from tests.conftest import DECLARED, MORE, ROOT, SMALL, Workspace
from tests.html import Page

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_lists_the_code_that_it_runs_and_no_other() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    assert text == closure.with_lists(text), "run `make deps`"


def code_deps(stage: str) -> set[str]:
    """The files, patterns and folders of code that a stage declares."""
    body = STAGES[stage].get("do", STAGES[stage])
    return {d for d in body["deps"] if d.startswith(("gan_core", "stages"))}


SEEN = """
import importlib, json, os, sys
opened = set()
sys.addaudithook(lambda event, args: event == "open" and opened.add(os.path.abspath(str(args[0]))))
stage, *arguments = sys.argv[1:]
try:
    importlib.import_module(f"stages.{stage}").main(*arguments)
finally:
    files = {os.path.abspath(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None)}
    files |= {name for name in opened if not name.endswith((".py", ".pyc"))}
    own = sorted(os.path.relpath(name) for name in files if name.startswith(os.getcwd() + os.sep))
    print("SEEN", json.dumps([name for name in own if name.startswith(("gan_core", "stages"))]))
"""
"""Runs a stage, and says which files of the project it has imported or read."""


@pytest.mark.parametrize(
    ("stage", "run", "dataset"),
    [
        ("prepare", None, "digits"),
        ("train", "cycle_gan", None),
        ("evaluate", "learned_f", "mixture"),
        ("export", "gan", "digits"),
        ("report", None, None),
    ],
)
def test_a_stage_runs_no_code_that_is_not_listed(
    built: Workspace, tmp_path: Path, stage: str, run: str | None, dataset: str | None
) -> None:
    """What an import cannot show (a name made of strings, a template) is seen when the stage runs."""
    made = copy_of(built, tmp_path)
    made.declare({"export.engines.flavour": "none", "export.engines.precisions": ["fp32"]})
    done = made.run(sys.executable, "-c", SEEN, stage, *filter(None, (run, dataset)))
    assert done.returncode == 0, done.stderr
    seen = set(json.loads(done.stdout.rsplit("SEEN ", 1)[1]))
    assert f"stages/{stage}.py" in seen
    listed = code_deps(stage)
    if run:
        entry = SMALL["runs"][run]
        of_run = {"${item.network.family}": entry["network"]["family"], "${item.variant}": entry["variant"]}
        listed = {functools.reduce(lambda d, pair: d.replace(*pair), of_run.items(), d) for d in listed}
    config = {closure.relative(path) for path in closure.closure((ROOT / "gan_core/config").glob("*.py"))}
    free = {name for name in seen if name.endswith(".py") and closure.exempt(ROOT / name)} | config
    assert {n for n in seen - free if n not in listed and not n.startswith(tuple(f"{d}/" for d in listed))} == set()


ALONE = {
    "train": r"gan_core/(training|objectives|variants)\b.*|.*/((build_)?game|batches|online|types)\.py",
    "export": r"gan_core/(export|serving)/.*",
    "evaluate": r"gan_core/metrics/(evaluate|verdicts|roles)\.py",
    "report": r"gan_core/report/(charts|facts|page|words)\.py",
}
"""Code that one stage depends on and the others of a run do not: an edit to it makes nothing else again."""


@pytest.mark.parametrize("stage", ALONE)
def test_editing_a_stage_s_own_code_makes_no_other_again(stage: str) -> None:
    own = re.compile(ALONE[stage])
    assert [d for d in code_deps(stage) if own.fullmatch(d)]
    after = {  # formats that it reads
        "evaluate": {"gan_core/training/snapshots.py", "gan_core/training/history.py"},
        "report": {"gan_core/export/manifest.py", "gan_core/training/history.py"},
    }
    for other in {"prepare", "train", "evaluate", "export", "report"} - {stage}:
        assert [d for d in code_deps(other) - after.get(other, set()) if own.fullmatch(d)] == [], other


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_a_stage_that_builds_a_network_lists_its_family(stage: str) -> None:
    assert "gan_core/networks/${item.network.family}.py" in code_deps(stage)


def test_everything_was_built(built: Workspace) -> None:
    exported = {
        str(p.relative_to(built.folder / "exported/gan"))
        for p in (built.folder / "exported/gan").rglob("*")
        if p.is_file()
    }
    assert {
        "README.md",
        "engines/generator-float-tensorrt_rtx-sm86-fp32.engine",
        "engines/generator-uint8-tensorrt_rtx-sm86-fp32.engine",
        "generator.onnx",
        "generator.uint8.onnx",
        "manifest.json",
        "model_repository/gan_generator/1/model.onnx",
        "model_repository/gan_generator/config.pbtxt",
        "model_repository/gan_generator/configs/cpu.pbtxt",
        "model_repository/gan_generator/configs/tensorrt.pbtxt",
        "samples.png",
    } <= exported
    assert not (built.folder / "exported/wgan_gp/generator.uint8.onnx").exists(), "points have no pixels"
    page = Page.read((built.folder / "report.html").read_text())
    assert page.faults() == []
    assert {f"run-{run}" for run in SMALL["runs"]} <= page.ids
    kinds = {run: {p.stem for p in (built.folder / f"reports/{run}/pictures").iterdir()} for run in SMALL["runs"]}
    assert {"timeline"} == set.intersection(*kinds.values())
    kinds = {run: names - {"timeline"} for run, names in kinds.items()}
    assert kinds["gan"] == {"generator-interpolation", "generator-neighbours"}
    assert kinds["cgan"] == kinds["gan"] | {"generator-traversal-y"}
    assert kinds["vae_gan"] == {"decoder-interpolation", "decoder-neighbours", "decoder-reconstruction"}
    assert kinds["cycle_gan"] == {"a_to_b-translation", "b_to_a-translation"}
    assert kinds["wgan_gp"] == kinds["learned_f"] == {"generator-interpolation"}, "points have no neighbours to look at"


def test_a_second_repro_changes_nothing_and_git_sees_nothing_new(built: Workspace) -> None:
    done = built.run("dvc", "repro")
    assert "Data and pipelines are up to date." in done.stdout
    changed = built.git("status", "--porcelain", "--untracked-files=all").split()
    assert set(changed) - {"M", "??"} <= {
        "params.yaml",
        "dvc.lock",
        *(
            f"reports/{run}/{name}.json"
            for run in (*SMALL["runs"], MORE, *foreign.NAMES)
            for name in ("metrics", "headline")
        ),
    }


def test_figures_carry_their_protocol(built: Workspace) -> None:
    def figures(run: str) -> dict[str, dict[str, Any]]:
        return read_figures(built.folder / f"reports/{run}/metrics.json")

    metrics = figures("gan")["generator"]
    assert metrics["protocol"]["real_count"] == 359
    assert metrics["protocol"]["fake_count"] == 600
    extractor = built.folder / "data/extractors/digits.safetensors"
    assert metrics["protocol"]["features_sha256"] == files.file_digest(extractor)
    assert metrics["protocol"]["step"] in {s for s, *_ in rows(built, "gan")} == {10, 20, 30, 40, 50, 60}
    for name, (low, high) in metrics["intervals"].items():
        assert low <= metrics[name] <= high, name
    assert {"fd_own", "kid_own", "coverage_own", "recognised"} <= metrics["intervals"].keys()
    assert ("last" in metrics) == (metrics["protocol"]["step"] != 60)
    assert figures("cgan")["generator"]["protocol"]["class_of_fake"] == "asked for"
    assert 0 <= figures("cgan")["generator"]["label_accuracy"] <= 1
    assert "label_accuracy" not in metrics
    assert figures("wgan_gp")["generator"]["modes_of"] == 8
    assert figures("vae_gan").keys() == {"decoder"}, "an encoder draws nothing"
    assert figures("vae_gan")["decoder"]["reconstruction_mse"] > 0
    assert figures("learned_f").keys() == {"generator", "f"}
    assert next(iter(figures("learned_f")["f"])) == "at +0.0"
    both = figures("cycle_gan")
    assert both.keys() == {"a_to_b", "b_to_a"}
    assert all({"translation_r2", "cycle_l1", "class_kept"} <= found.keys() for found in both.values())
    there, back = (both[role]["protocol"] for role in ("a_to_b", "b_to_a"))
    assert there["fake_count"] == back["real_count"], "every held-out sample once"
    assert back["fake_count"] == there["real_count"]


def rows(built: Workspace, run: str) -> list[list[float]]:
    """The table of progress, its head checked."""
    head, *lines = (built.folder / f"reports/{run}/progress.csv").read_text().splitlines()
    assert head.startswith("step,")
    return [[float(cell) for cell in line.split(",")] for line in lines]


@pytest.mark.parametrize("run", SMALL["runs"])
def test_every_run_was_monitored(built: Workspace, run: str) -> None:
    """Its health, its progress and samples over time are there; what ships are the weights of the best evaluation."""
    folder = built.folder / "reports" / run
    health, steps = files.read_json(folder / "health.json"), [row[0] for row in rows(built, run)]
    assert health.keys() == {"format", "events", "series"}
    assert all([s for s, _ in series] == steps for series in health["series"].values())
    assert any(name.endswith(("kid_own", "energy_distance")) for name in health["series"])
    assert steps[-1] == SMALL["runs"][run]["train"]["steps"]
    assert caption((folder / "pictures/timeline.png").read_bytes())[0] == "From the same inputs over time"
    last = built.folder / "models" / run / "last"
    shipped = {m["protocol"]["step"] for m in read_figures(folder / "metrics.json").values() if "protocol" in m}
    assert len(shipped) == 1
    assert last.is_dir() == (shipped != {steps[-1]})


def test_the_manifest_is_true(built: Workspace) -> None:
    folder = built.folder / "exported/gan"
    manifest = files.read_json(folder / "manifest.json")
    for name, said in manifest["files"].items():
        assert files.file_digest(folder / name) == said["sha256"], name
    assert set(manifest["files"]) | {"manifest.json"} == {
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()
    }
    provenance = manifest["roles"]["generator"]["provenance"]
    assert provenance["weights_sha256"] == files.file_digest(built.folder / "models/gan/generator.safetensors")
    assert provenance["data_sha256"] == files.read_json(built.folder / "data/prepared/digits/index.json")["sha256"]
    text = (folder / "manifest.json").read_text() + (folder / "README.md").read_text()
    assert str(built.folder) not in text


@pytest.mark.parametrize(
    ("run", "printed"),
    [
        ("gan", ["(16, 8, 8, 1) uint8"]),
        ("cgan", ["(16, 8, 8, 1) uint8"]),
        ("wgan_gp", ["(16, 2) float32"]),
        ("vae_gan", ["(16, 8, 8, 1) uint8", "(16, 4) float32"]),
        ("cycle_gan", ["(16, 8, 8, 3) uint8"] * 2),
    ],
)
def test_the_card_s_python_runs_as_it_stands(built: Workspace, run: str, printed: list[str]) -> None:
    """Of every role, with nothing of this project importable; what asks a server runs in test_serving.py."""
    folder = built.folder / "exported" / run
    card = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    programs = [p for p in card if "onnxruntime" in p]
    said = [
        subprocess.run([sys.executable, "-I", "-c", p], cwd=folder, capture_output=True, text=True) for p in programs
    ]
    assert [done.stdout.strip() for done in said] == printed, said[0].stderr


def test_another_folder_gives_the_same_bytes(built: Workspace, tmp_path: Path) -> None:
    """Data, extractor, weights, figures and whole exports, engines included."""
    other = Workspace(tmp_path / "deeper" / "elsewhere", more=True)
    done = other.run("dvc", "repro")
    assert done.returncode == 0, done.stderr
    wanted = [
        "data/**/*.safetensors",
        "data/**/*.json",
        "models/**/*.safetensors",
        "reports/**/*.*",
        "exported/**/*.*",
    ]
    seen = sorted({str(p.relative_to(built.folder)) for w in wanted for p in built.folder.glob(w)})
    assert len(seen) > 20
    differ = [name for name in seen if read_at(built.folder, name) != read_at(other.folder, name)]
    assert differ == []


def read_at(folder: Path, name: str) -> bytes:
    """A file of a project, without the place of a project's store, which an index names."""
    return re.sub(rb"file://[^\"]*-store", b"", (folder / name).read_bytes())


def prepared_only(built: Workspace, folder: Path) -> Workspace:
    """The built project, its runs not yet trained."""
    made = Workspace(folder)
    shutil.copytree(built.folder / "data", folder / "data")
    for dataset in SMALL["datasets"]:
        done = made.run("dvc", "commit", "-f", f"prepare@{dataset}")
        assert done.returncode == 0, done.stderr
    return made


def steps_saved(folder: Path, run: str) -> int:
    return max((int(m[1]) for p in (folder / ".state" / run).glob("*/*") if (m := NAME.fullmatch(p.name))), default=0)


def training(made: Workspace, run: str) -> subprocess.Popen[bytes]:
    """``dvc repro`` of a run's training, which has saved ten steps and is not at its end."""
    process = made.start("dvc", "repro", f"train@{run}")
    deadline = time.monotonic() + 60
    while not 10 <= steps_saved(made.folder, run) < SMALL["runs"][run]["train"]["steps"]:
        assert time.monotonic() < deadline
        assert process.poll() is None, (made.folder / ".started.log").read_text()
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
@pytest.mark.parametrize(
    ("who", "how"), [("trainer", signal.SIGKILL), ("dvc", signal.SIGKILL), ("trainer", signal.SIGTERM)]
)
def test_killed_in_the_middle_it_ends_in_the_same_bytes(
    built: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, who: str, how: signal.Signals
) -> None:
    monkeypatch.setenv("SHELL", shell)
    made = prepared_only(built, tmp_path)
    process = training(made, "gan")
    target = process.pid if who == "dvc" else children(process.pid)[0]
    os.kill(target, how)
    assert process.wait(60) != 0
    if how == signal.SIGTERM:
        assert re.search(r"gan: stopped at step \d+, all of it saved", (tmp_path / ".started.log").read_text())
    done = made.run("dvc", "repro", "train@gan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"gan: step [1-9]\d* of 60", done.stderr), "it went on, it did not start again"
    made_by_it = [p.relative_to(built.folder) for p in (built.folder / "models/gan").rglob("*.safetensors")]
    reports = [Path("reports/gan") / name for name in ("loss.csv", "progress.csv", "health.json")]
    assert len(made_by_it) >= 2, "what ships, and samples over time"
    for name in (*made_by_it, *reports):
        assert (tmp_path / name).read_bytes() == (built.folder / name).read_bytes()
    assert steps_saved(tmp_path, "gan") == 50, "of a finished run one state stays, from which a longer one goes on"


def test_changed_settings_do_not_continue_the_old_run(built: Workspace, tmp_path: Path) -> None:
    made = prepared_only(built, tmp_path)
    process = made.start("dvc", "repro", "train@gan")
    while steps_saved(tmp_path, "gan") < 10:
        time.sleep(0.005)
    process.kill()
    process.wait()
    made.declare({"runs.gan.settings": {"learning_rate": 0.001}})
    done = made.run("dvc", "repro", "train@gan")
    assert done.returncode == 0, done.stderr
    assert "so it is not continued: params.settings.learning_rate: 0.0002 -> 0.001" in done.stderr
    assert "gan: step 0 of 60" in done.stderr


def test_the_fingerprint_knows_the_stage_and_not_the_other_papers(built: Workspace, tmp_path: Path) -> None:
    made = prepared_only(built, tmp_path)
    process = made.start("python", "-m", "stages.train", "gan")
    while steps_saved(tmp_path, "gan") < 10:
        time.sleep(0.005)
    process.kill()
    process.wait()
    facts = files.read_json(next((tmp_path / ".state/gan").glob("*/facts.json")))
    code = {name.removeprefix("code.") for name in facts if name.startswith("code.")}
    assert {
        "stages/train.py",
        "gan_core/variants/gan.py",
        "gan_core/networks/dcgan.py",
        "gan_core/core/build_network.py",
    } <= code
    assert not {"gan_core/variants/wgan_gp.py", "gan_core/networks/mlp.py"} & code
    listed = {d for d in code_deps("train") if d.endswith(".py") and "${" not in d}
    others = {
        f"gan_core/networks/{name}.py" for name in ("curvature", "patch_heads", "patchgan", "projected", "resnet")
    }
    assert listed - code <= others, "of other papers"


def test_exporting_differently_trains_nothing_again(built: Workspace, tmp_path: Path) -> None:
    made = copy_of(built, tmp_path)
    made.declare({"export.opset": 19})
    would = re.findall(r"Running stage '([^']+)'", made.run("dvc", "repro", "--dry").stdout)
    wanted = [f"export@{run}" for run in (*SMALL["runs"], MORE)]
    wanted += [f"{stage}@{name}" for name in foreign.NAMES for stage in ("import_network", "export_import")]
    assert sorted(would) == sorted(wanted)


def copy_of(built: Workspace, folder: Path) -> Workspace:
    shutil.copytree(built.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".venv*"))
    return Workspace.at(folder)


def test_the_last_good_export_outlives_a_refusal(built: Workspace, tmp_path: Path) -> None:
    made = copy_of(built, tmp_path)
    before = (tmp_path / "exported/gan/manifest.json").read_bytes()
    made.declare({"export.precisions.fp32.max_abs": 1e-12})
    done = made.run("dvc", "repro", "export@gan")
    assert done.returncode != 0
    assert re.search(
        r"error: the gate refuses gan: generator\.onnx: max abs error at batch \d+ is \S+, allowed 1e-12", done.stderr
    )
    assert "exported/gan still holds the last good export" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "exported/gan/manifest.json").read_bytes() == before
    assert not list((tmp_path / "exported").glob(".*"))


BAD = [
    (
        ["python", "-m", "stages.train", "gna"],
        2,
        "declares no run 'gna', only gan, wgan_gp, cgan, cycle_gan, vae_gan, learned_f; did you mean gan?",
    ),
    (
        ["python", "-m", "stages.prepare", "mnits"],
        2,
        "declares no data set 'mnits', only digits, ring, recolour, mixture",
    ),
    (["python", "-m", "stages.evaluate", "gan", "digits"], 3, "data/prepared/digits holds no prepared data set"),
    (["python", "-m", "stages.export", "gan", "digits"], 3, "run `dvc repro`"),
    (["python", "-m", "stages.train"], 2, "0 arguments given; usage: python -m stages.train <run>"),
    (["python", "-m", "stages.evaluate", "gan"], 2, "usage: python -m stages.evaluate <run> <dataset>"),
    (["python", "-m", "stages.report"], 3, "no declared run is finished (gan, wgan_gp, cgan,"),
    (["gan", "summary"], 3, "no declared run is finished (gan, wgan_gp, cgan,"),
    (["gan", "serve"], 3, "run `make repro` first"),
]


@pytest.mark.parametrize(("command", "code", "sentence"), BAD, ids=[" ".join(b[0][2:]) for b in BAD])
def test_bad_input_ends_in_one_sentence(workspace: Workspace, command: list[str], code: int, sentence: str) -> None:
    done = workspace.run(*command)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def in_format_99(path: Path) -> None:
    """The same file, as a later version would write it."""
    path.chmod(0o644)
    if path.suffix == ".json":
        path.write_text(re.sub(r'"format": \d+', '"format": 99', path.read_text(), count=1))
        return
    with safetensors.safe_open(path, "np") as file:
        about = file.metadata()
    header = {key: re.sub(r'("format": )?\d+', r"\g<1>99", value, count=1) for key, value in about.items()}
    path.write_bytes(safetensors.numpy.save(safetensors.numpy.load(path.read_bytes()), header))


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("data/prepared/digits/index.json", lambda path: Prepared(path.parent)),
        ("data/extractors/digits.safetensors", artifact.load),
        ("models/gan/generator.safetensors", artifact.load),
        ("models/gan/monitor/snapshots.safetensors", read_snapshots),
        ("reports/gan/health.json", lambda path: Facts.read("gan", path.parent, path.parents[2] / "exported/gan")),
        ("reports/gan/metrics.json", read_figures),
        ("exported/gan/manifest.json", lambda path: manifest_of(path.parent)),
    ],
)
def test_another_format_is_refused(built: Workspace, tmp_path: Path, file: str, read: Callable[[Path], object]) -> None:
    made = copy_of(built, tmp_path)
    read(made.folder / file)
    in_format_99(made.folder / file)
    with pytest.raises(DataError, match=r"has format 99; this program reads format \d"):
        read(made.folder / file)


def test_corrupt_data_is_named(built: Workspace, tmp_path: Path) -> None:
    made = copy_of(built, tmp_path)
    path = tmp_path / "data/prepared/digits/train.x.npy"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    done = made.run("python", "-m", "stages.train", "gan")
    assert (done.returncode, done.stderr) == (
        3,
        "error: data/prepared/digits/train.x.npy is corrupt: not what index.json describes; "
        "remove it and run `dvc repro`\n",
    )


def test_a_python_without_the_packages_is_told_what_to_do(workspace: Workspace, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = subprocess.run(
        [bare / "bin/python", "-m", "stages.train", "gan"], cwd=workspace.folder, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert done.stderr.startswith("error: the Python package 'torch' is not installed")
    assert "make repro" in done.stderr


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_engines_for_this_machine_need_its_gpu_and_nothing_else_notices(built: Workspace, tmp_path: Path) -> None:
    made = copy_of(built, tmp_path)
    made.declare({"export.engines.here": ["gan"]})
    done = made.run("dvc", "repro", "engine@gan")
    assert done.returncode != 0
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["hardware@gan", "engine@gan"]
    assert "error: export.engines.here names 'gan', but nvidia-smi shows no GPU on this machine" in done.stderr
    probed = (tmp_path / "data/hardware/gan.json").read_bytes()
    assert made.run("dvc", "repro", "hardware@gan").returncode == 0
    assert (tmp_path / "data/hardware/gan.json").read_bytes() == probed, "the same machine, the same bytes"


def test_the_walk_through_of_your_own_images_runs_as_it_stands(tmp_path: Path) -> None:
    """docs/your-data.md: from a folder of pictures to a clone elsewhere that has nothing to do."""
    made = Workspace(tmp_path / "project")
    made.git("config", "user.name", "t")
    made.git("config", "user.email", "t@localhost")
    made.declare({"datasets": {}, "runs": {}, "evaluate.samples": 600, "export.engines.flavour": "none"})
    said = []
    for program in re.findall(r"```sh\n(.*?)```", (ROOT / "docs/your-data.md").read_text(), re.S):
        done = made.run("bash", "-ec", program.replace('"steps": 2000', '"steps": 20'))
        assert done.returncode == 0, program + done.stdout + done.stderr
        said.append(done.stdout)
    assert "pictures: 1,797 images packed, of 20x16 pixels; 1,797 L" in said[2]
    (told,) = (m["data"] for m in read_figures(made.folder / "reports/my_gan/metrics.json").values())
    assert told["found"] == "1,797 images packed, of 20x16 pixels; 1,797 L"
    counts = dict(zip(WORDS, np.bincount(load_digits().target).tolist(), strict=True))
    assert {name: sum(each.values()) for name, each in told["classes"].items()} == counts
    named_by_class(made)
    assert said[-1].endswith("Data and pipelines are up to date.\n")
    exported = "exported/my_gan/generator.uint8.onnx"
    assert (tmp_path / "elsewhere" / exported).read_bytes() == (made.folder / exported).read_bytes()
    next((made.folder / "pictures/three").iterdir()).unlink()
    assert "modified:           pictures" in made.run("dvc", "status", "prepare_images@pictures").stdout


WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def named_by_class(made: Workspace) -> None:
    """The names of classes are in all that is shipped, and draw what their numbers draw."""
    names, folder = sorted(WORDS), made.folder / "exported/my_gan"
    (y,) = (i for i in manifest_of(folder)["roles"]["generator"]["inputs"] if i["name"] == "y")
    assert y["classes"] == names
    assert "Classes of `y`: 0 eight, 1 five, 2 four" in (folder / "README.md").read_text()
    for model in ("my_gan_generator", "my_gan_generator_uint8", "my_gan_generator_seeded"):
        about = folder / "model_repository" / model
        assert (about / "classes_y.txt").read_text().split() == names
        config = text_format.Parse((about / "config.pbtxt").read_text(), pb.ModelConfig())
        assert json.loads(config.parameters["classes_y"].string_value) == names
    generator = Generator.open(folder)
    assert (generator.draw(range(4), y="seven") == generator.draw(range(4), y=names.index("seven"))).all()
    assert (generator.draw(range(2), y=["one", "two"]) == generator.draw(range(2), y=[4, 8])).all()
    for asked, words in (
        ("sevn", r"there is no class 'sevn', only 0 eight, .*; did you mean seven?"),
        ("10", "there is no class '10'"),
    ):
        done = made.run("gan", "sample", str(folder), "--given", f"y={asked}")
        assert done.returncode == 2
        assert re.search(words, done.stderr)


@pytest.mark.slow
def test_what_the_project_ships_draws_digits(tmp_path: Path) -> None:
    """A ``gan`` run, whole. The artefact is measured by a classifier that neither it nor its metrics have met."""
    made = Workspace(tmp_path, DECLARED)
    made.declare({"export.engines.flavour": "none"})
    done = made.run("dvc", "repro", "export@gan")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "exported/gan/generator.uint8.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    latent = yaml.safe_load(DECLARED.read_text())["runs"]["gan"]["network"]["latent"]
    z = np.random.default_rng(3).standard_normal((2000, latent), dtype=np.float32)
    fake = session.run(None, {"z": z})[0].reshape(2000, 64) / 255
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    classifier = LogisticRegression(C=10, max_iter=3000).fit(x[order[:1200]] / 16, y[order[:1200]])
    assert classifier.score(x[order[1200:]] / 16, y[order[1200:]]) > 0.96
    sure = (classifier.predict_proba(fake).max(1) >= 0.9).mean()
    sure_of_real = (classifier.predict_proba(x[order[1200:]] / 16).max(1) >= 0.9).mean()
    print(f"recognised with p >= 0.9: {sure:.3f} of the samples, {sure_of_real:.3f} of real digits it has not met")
    assert sure > 0.75 * sure_of_real
    assert (np.bincount(classifier.predict(fake), minlength=10) / 2000).min() > 0.05
    metrics = read_figures(tmp_path / "reports/gan/metrics.json")["generator"]
    assert metrics["recognised"] > 0.6
    assert metrics["classes_seen"] == 10
    assert metrics["fd_own"] < 1.5


@pytest.mark.slow
def test_wgan_gp_covers_the_grid(tmp_path: Path) -> None:
    """All 25 Gaussians of the grid, as a declared run."""
    made = Workspace(tmp_path, DECLARED)
    made.declare({"runs": {"grid": GRID_RUN}})
    done = made.run("dvc", "repro", "evaluate@grid")
    assert done.returncode == 0, done.stderr
    metrics = read_figures(tmp_path / "reports/grid/metrics.json")["generator"]
    print({name: metrics[name] for name in ("modes", "modes_strong", "high_quality", "reverse_kl")})
    assert metrics["modes"] == 25
    assert metrics["modes_strong"] >= 24


GRID_RUN = {
    "variant": "wgan_gp",
    "dataset": "grid",
    "network": {"family": "mlp", "width": 128, "latent": 2},
    "train": {"steps": 3000, "batch_size": 256, "instance_noise": 0.0},
    "settings": {"penalty": 0.1, "learning_rate": 0.001, "beta1": 0.5},
}
