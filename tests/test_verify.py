"""What a person with nothing but an exported folder can do: draw from it, and find out whether it is what it says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from safetensors.numpy import load, save

from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError
from gan_core.serving.backends.triton.backend import Triton
from gan_core.serving.client import Generator
from gan_core.serving.verify import by_itself, table, verify
from tests.conftest import ROOT, Workspace

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {absent}:
            raise ModuleNotFoundError(f'{{name}} is imported', name=name)
sys.meta_path.insert(0, Absent())
import runpy
sys.argv = ['gan', *{arguments}]
runpy.run_module('gan_core', run_name='__main__', alter_sys=True)
"""
TRAINING = ["torch", "omegaconf", "pydantic", "sklearn", "scipy", "dvc", "tritonclient"]


def without(built: Workspace, absent: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return built.run(sys.executable, "-c", WITHOUT.format(absent=absent, arguments=list(arguments)))


def test_drawing_needs_numpy_onnx_runtime_and_pillow_only(built: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    absent = [*TRAINING, "onnx", "safetensors", "yaml"]
    done = without(built, absent, "sample", "exported/cgan", "--seed", "7", "--n", "9", "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {out}: 9 samples of exported/cgan, seeds 7 to 15\n"
    with Image.open(out) as picture:
        assert picture.size[0] > 100


@pytest.mark.parametrize("server", ["triton", "onnxruntime"])
def test_verifying_needs_no_torch(server: str, built: Workspace) -> None:
    """And finds nothing wrong, here and on a real server."""
    triton = ROOT / ".venv-triton"
    folders = [f"exported/{run}" for run in ("vae_gan", "cgan", "cycle_gan")]
    command = ["verify", *folders, "--server", server, "--triton", str(triton)]
    done = without(built, TRAINING, *command)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "FAILED" not in done.stdout
    if server == "onnxruntime" or triton.is_dir():
        assert done.stdout.count("server, cgan_generator") == 3
        assert "server, cycle_gan_b_to_a_tiled" in done.stdout
        assert done.stdout.count("server, vae_gan_") == 4
    else:
        assert "not run: no Triton server" in done.stdout


@pytest.fixture
def folder(built: Workspace, tmp_path: Path) -> Path:
    """A copy of an exported folder."""
    made = tmp_path / "cgan"
    shutil.copytree(built.folder / "exported/cgan", made)
    for path in made.rglob("*"):
        path.chmod(0o755)
    return made


def relist(folder: Path, *names: str) -> None:
    """As someone would who changes a file and its sum."""
    manifest = files.read_json(folder / "manifest.json")
    for name in names:
        manifest["files"][name]["sha256"] = files.file_digest(folder / name)
    files.write_json(folder / "manifest.json", manifest)


def a_bit(folder: Path) -> None:
    path = folder / "generator.onnx"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))


def a_file_gone(folder: Path) -> None:
    (folder / "model_repository/cgan_generator_latents/1/model.py").unlink()


def a_file_more(folder: Path) -> None:
    (folder / "model_repository/cgan_generator/1/evil.py").write_text("pass")


def other_weights(folder: Path) -> None:
    proto = onnx.load(folder / "generator.onnx")
    tensor = max(proto.graph.initializer, key=lambda t: np.prod(t.dims))
    tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    onnx.save(proto, folder / "generator.onnx")
    relist(folder, "generator.onnx")


def own_noise(folder: Path) -> None:
    proto = onnx.load(folder / "generator.onnx")
    output = proto.graph.node[-1]
    name = output.output[0]
    output.output[0] = "quiet"
    noise = onnx.helper.make_node("RandomNormalLike", ["quiet"], ["noise"], scale=1e-9)
    proto.graph.node.extend([noise, onnx.helper.make_node("Add", ["quiet", "noise"], [name])])
    onnx.save(proto, folder / "generator.onnx")
    relist(folder, "generator.onnx")


def no_graph(folder: Path) -> None:
    (folder / "generator.uint8.onnx").write_bytes((folder / "generator.onnx").read_bytes()[:500])
    relist(folder, "generator.uint8.onnx")


def other_answer(folder: Path) -> None:
    path = folder / "golden_outputs/generator.safetensors"
    golden = load(path.read_bytes())
    name = "output/generator.uint8.onnx"
    path.write_bytes(save(golden | {name: golden[name][::-1].copy()}))
    relist(folder, "golden_outputs/generator.safetensors")


def other_code(folder: Path) -> None:
    name = "model_repository/cgan_generator_latents/1/model.py"
    (folder / name).write_text((folder / name).read_text() + "import os\n")
    relist(folder, name)


def no_card(folder: Path) -> None:
    (folder / "README.md").write_text("# cgan\n")
    relist(folder, "README.md")


TAMPERED: list[tuple[Callable[[Path], None], str, str]] = [
    (a_bit, "checksums", "generator.onnx is corrupt"),
    (a_file_gone, "checksums", "model_repository/cgan_generator_latents/1/model.py is missing"),
    (a_file_more, "checksums", "model_repository/cgan_generator/1/evil.py is not in the manifest"),
    (other_weights, "golden outputs of generator.onnx", "max abs difference is"),
    (own_noise, "lint of generator.onnx", "nodes that draw their own noise is RandomNormalLike"),
    (no_graph, "lint of generator.uint8.onnx", "ONNX Runtime cannot load"),
    (other_answer, "golden outputs of generator.uint8.onnx", "share of pixels that differ is"),
    (other_code, "code", "model.py is no file of this project's gan_core/core, and is not run"),
    (no_card, "card", "nothing about generator"),
]


@pytest.mark.parametrize(("tamper", "check", "reason"), TAMPERED, ids=lambda v: getattr(v, "__name__", ""))
def test_what_is_not_as_it_was_is_found(tamper: Callable[[Path], None], check: str, reason: str, folder: Path) -> None:
    assert all(row.passed for row in by_itself(folder))
    tamper(folder)
    rows = list(by_itself(folder))
    assert [row.check for row in rows if not row.passed][:1] == [check]
    assert reason in table(rows)


def test_a_repository_that_is_not_what_the_folder_says_fails_on_the_server(folder: Path) -> None:
    """A configuration changed together with its sum: only asking a server shows it."""
    if not (ROOT / ".venv-triton").is_dir():
        pytest.skip("the server's environment is absent: make .venv-triton")
    name = "model_repository/cgan_generator_latents/config.pbtxt"
    path = folder / name
    path.write_text(path.read_text().replace("normal", "uniform"))
    relist(folder, name)
    failed = [row for row in verify([folder], Triton(ROOT / ".venv-triton")) if not row.passed]
    assert [row.check for row in failed] == ["server, cgan_generator_seeded"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_another_precision_is_served(precision: str, built: Workspace, tmp_path: Path) -> None:
    """The graphs of the declared precision, and no others, are what a server loads and answers with."""
    if not (ROOT / ".venv-triton").is_dir():
        pytest.skip("the server's environment is absent: make .venv-triton")
    shutil.copytree(built.folder, tmp_path / "x_b", symlinks=True)
    other = Workspace.at(tmp_path / "x_b")
    other.declare({"export.served": precision, "export.engines.flavour": "none"})
    done = other.run(sys.executable, "-m", "stages.export", "gan", "digits")
    assert done.returncode == 0, done.stderr
    folder = other.folder / "exported" / "gan"
    models = {p.read_bytes() for p in folder.glob("model_repository/*/1/model.onnx")}
    assert models == {(folder / f"generator.{precision}{form}.onnx").read_bytes() for form in ("", ".uint8")}
    rows = list(verify([folder], Triton(ROOT / ".venv-triton")))
    assert all(row.passed for row in rows), table(rows)
    assert sum(row.check.startswith("server") for row in rows) == 3


def test_no_server_is_said_and_is_no_failure(folder: Path, tmp_path: Path) -> None:
    (row,) = [row for row in verify([folder], Triton(tmp_path)) if row.check == "server"]
    assert (row.passed, row.says[:42]) == (None, f"not run: no Triton server in {tmp_path}"[:42])


def test_verify_ends_in_one_sentence_and_its_code(built: Workspace, folder: Path) -> None:
    a_bit(folder)
    done = built.run("gan", "verify", str(folder))
    assert (done.returncode, done.stderr) == (3, "error: 1 of 1 checks failed; the table above says which\n")
    assert "FAILED  generator.onnx is corrupt" in done.stdout


def test_a_damaged_graph_is_not_loaded(folder: Path) -> None:
    a_bit(folder)
    with pytest.raises(DataError, match=r"generator\.onnx is corrupt: not what manifest\.json describes"):
        Generator.open(folder, file="generator.onnx")
    (folder / "generator.uint8.onnx").unlink()
    with pytest.raises(DataError, match=r"generator\.uint8\.onnx is missing"):
        Generator.open(folder)


def test_the_client(built: Workspace) -> None:
    exported = built.folder / "exported"
    cgan = Generator.open(exported / "cgan")
    images = cgan.draw(range(100), y=3)
    assert (images.shape, images.dtype) == ((100, 8, 8, 1), np.uint8)
    floats = Generator.open(exported / "cgan", file="generator.onnx").draw(range(100), y=3)
    assert np.abs(np.rint((floats.transpose(0, 2, 3, 1) + 1) * 127.5) - images).max() <= 1
    z = load((exported / "cgan/golden_outputs/generator.safetensors").read_bytes())
    rows = {name.removeprefix("input/"): v for name, v in z.items() if name.startswith("input/")}
    assert (cgan.run(**rows) == cgan.draw(range(16), y=np.arange(16) % 10)).all()
    encoder = Generator.open(exported / "vae_gan", "encoder")
    assert encoder.run(x=np.zeros((70, 1, 8, 8))).shape == (70, 4)
    for wrong, sentence in [
        (lambda: cgan.draw(range(3)), "'y' is a label"),
        (lambda: cgan.draw(range(3), y=10), "'y' takes whole numbers from 0 to 9"),
        (lambda: cgan.run(z=np.zeros((2, 8))), "'y' is a label"),
        (lambda: cgan.run(y=[1, 2]), "'z' is missing"),
        (lambda: encoder.draw(range(3)), "'x' is data: no seed draws it"),
        (lambda: Generator.open(exported / "cgan", "decoder"), "has no role 'decoder'; name one of generator"),
        (lambda: Generator.open(exported / "cycle_gan"), "draws nothing from a seed: a_to_b, b_to_a take data"),
    ]:
        with pytest.raises(InputError, match=sentence):
            wrong()
    with pytest.raises(EnvironmentFailure, match=r"no server answers at http://127\.0\.0\.1:1 .*`make serve`"):
        Generator.connect("http://127.0.0.1:1", exported / "gan").draw(1)


BAD = [
    (["cgan", "--given", "y=11"], 2, "'y' takes whole numbers from 0 to 9"),
    (["cgan", "--given", "label"], 2, "--given label is not of the form NAME=VALUE"),
    (["cgan", "--given", "seeds=3"], 2, "there is no input 'seeds', only z, y"),
    (["cgan", "--out", "x.jpg"], 2, "--out x.jpg ends in neither .png (a picture) nor .npy (the numbers)"),
    (["gan", "--central-mass", "2"], 2, "central_mass is above 0 and at most 1"),
    (["cycle_gan"], 2, "draws nothing from a seed"),
    (["nothing"], 3, "exported/nothing/manifest.json does not exist"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_a_bad_sample_command(built: Workspace, arguments: list[str], code: int, sentence: str) -> None:
    run, *rest = arguments
    done = built.run("gan", "sample", f"exported/{run}", *rest)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_labels_in_turn_and_numbers_to_a_file(built: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "a.npy"
    command = ["sample", "exported/cgan", "--n", "4", "--given", "y=0,1", "--central-mass", "0.5", "--out", str(out)]
    assert built.run("gan", *command).returncode == 0
    cgan = Generator.open(built.folder / "exported/cgan")
    assert (np.load(out) == cgan.draw(range(4), 0.5, y=[0, 1, 0, 1])).all()
