"""Networks that were trained elsewhere: what ships computes what the file does, and what cannot ship is not guessed."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper

from gan_core.config.schema import OnnxNetwork
from gan_core.core.build_network import build_network
from gan_core.core.network_spec import NetworkSpec
from gan_core.export.gate import onnx_runner
from gan_core.export.manifest import manifest_of
from gan_core.imports import ends, graph, weights
from gan_core.networks.onnx import Graph
from gan_core.runtime.errors import InputError
from tests import foreign
from tests.conftest import Workspace

GREY = ends.Data("digits", (1, 8, 8), 10, ("x",))
COLOURS = ends.Data("recolour", (3, 8, 8), 0, ("x", "x_b"))


def read(path: Path, model: onnx.ModelProto, data: ends.Data, **declared: Any) -> ends.Foreign:
    onnx.save(model, path)
    return ends.understood(path, ends.read(path), OnnxNetwork("onnx", **declared), data)


def imported(path: Path, model: onnx.ModelProto, data: ends.Data, **declared: Any) -> Graph:
    network, _ = graph.imported(read(path, model, data, **declared), data, 20, 1)
    assert isinstance(network, Graph)
    return network


def test_noise_of_four_axes_another_range_and_an_older_opset(tmp_path: Path) -> None:
    """z (N, 20) gives what the file gives of the same numbers, mapped from [0, 1] to [-1, 1]."""
    network = imported(tmp_path / "g.onnx", foreign.dcgan(), GREY, inputs={"input.1": "normal"}, range=[0.0, 1.0])
    z = torch.randn(5, foreign.LATENT)
    theirs = onnx_runner(foreign.dcgan().SerializeToString(), 1)({"input.1": z[:, :, None, None].numpy()})
    assert [(i.name, i.prior, i.shape) for i in network.config.inputs] == [("z", "normal", (20,))]
    assert np.abs(network(z).numpy() - (2 * theirs - 1)).max() < 1e-5


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT])
def test_channels_last_and_grey_levels(tmp_path: Path, kind: int) -> None:
    """Pictures (N, 3, H, W) in [-1, 1] of any sides, whatever the layout and the type of the file."""
    network = imported(tmp_path / "t.onnx", foreign.nhwc(kind), COLOURS, range=[0.0, 255.0])
    levels = np.random.default_rng(0).integers(0, 256, (2, 10, 7, 3)).astype(helper.tensor_dtype_to_np_dtype(kind))
    theirs = onnx_runner(foreign.nhwc(kind).SerializeToString(), 1)({"in:0": levels}).astype(np.float32)
    x = torch.from_numpy(levels.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1)
    assert np.abs(network(x).numpy() - (theirs.transpose(0, 3, 1, 2) / 127.5 - 1)).max() < 1e-5
    assert (network.config.output_space, Graph.size_multiple(network.config)) == ("x_b", 1)


@pytest.mark.parametrize(
    ("kind", "dims"),
    [(TensorProto.FLOAT, ["N", 10]), (TensorProto.INT64, ["N"]), (TensorProto.INT32, ["N", 1])],
    ids=["one-hot", "number", "column"],
)
def test_classes_in_any_form(tmp_path: Path, kind: int, dims: list[Any]) -> None:
    """y, a number here, is the class that the file is asked for in its own form."""
    asked = {"noise": "uniform", "class": "label"}
    network = imported(tmp_path / "c.onnx", foreign.conditional(kind, dims), GREY, inputs=asked)
    z, y = torch.rand(10, 4), torch.arange(10)
    own = np.eye(10)[y] if kind == TensorProto.FLOAT else y.numpy().reshape(-1, *dims[1:])
    given = {"noise": z.numpy(), "class": own.astype(helper.tensor_dtype_to_np_dtype(kind))}
    theirs = onnx_runner(foreign.conditional(kind, dims).SerializeToString(), 1)(given)
    assert np.abs(network(z, y).numpy() - theirs).max() < 1e-6


def noisy() -> onnx.ModelProto:
    """It adds noise of its own."""
    nodes = [
        helper.make_node("RandomNormalLike", ["z"], ["n"]),
        helper.make_node("Add", ["z", "n"], ["v"]),
        helper.make_node("Reshape", ["v", "sides"], ["y"]),
    ]
    sides = {"sides": np.array([-1, 1, 8, 8], np.int64)}
    return foreign.model(
        nodes, {"z": (TensorProto.FLOAT, ["N", 64])}, {"y": (TensorProto.FLOAT, ["N", 1, 8, 8])}, sides, 20
    )


def custom() -> onnx.ModelProto:
    """An operation of one runtime's own."""
    made = noisy()
    made.graph.node[0].domain = "com.microsoft"
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


NOISE = {"inputs": {"input.1": "normal"}, "range": [0.0, 1.0]}
REFUSED: dict[str, tuple[onnx.ModelProto, ends.Data, dict[str, Any], str]] = {
    "a fixed batch": (foreign.dcgan(batch=1), GREY, NOISE, "'input.1' has a fixed batch of 1, .* export it"),
    "what is its input": (foreign.dcgan(), GREY, {}, r"what is input 'input.1', float32 \[20, 1, 1\]\? Declare it"),
    "a name it has not": (foreign.dcgan(), GREY, {"inputs": {"z": "normal"}}, "has no input 'z', only input.1"),
    "no such prior": (foreign.dcgan(), GREY, {"inputs": {"input.1": "label"}}, r"\[20, 1, 1\], which is no label"),
    "other samples": (foreign.dcgan(), COLOURS, NOISE, "draws samples of 1x8x8, .* 'recolour' are 3x8x8"),
    "other sides": (foreign.nhwc(sides=(16, 16)), COLOURS, {}, "takes 16x16x3, and those of data set"),
    "one domain": (foreign.nhwc(), ends.Data("photos", (3, 8, 8), 0, ("x",)), {}, "'photos' has one domain"),
    "noise of its own": (noisy(), GREY, {"inputs": {"z": "normal"}}, "draw their own noise is RandomNormalLike"),
    "operations of one runtime": (custom(), GREY, {"inputs": {"z": "normal"}}, "operations of com.microsoft"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_ship_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    model, data, declared, says = REFUSED[case]
    with pytest.raises(InputError, match=says):
        imported(tmp_path / "f.onnx", model, data, **declared)


class Trap:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["f.onnx", "f.pt", "f.safetensors"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    """A file that would run code does not, whatever it is called."""
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match=r"is a pickle|holds no tensors by name"):
        if name == "f.onnx":
            ends.read(tmp_path / name)
        else:
            weights.tensors(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_weights_elsewhere_keep_what_they_compute(tmp_path: Path) -> None:
    """A state dict of a family, by torch or as safetensors, is the same network; one of another width is refused."""
    spec = NetworkSpec("dcgan", 4, 6, (1, 8, 8))
    mine = build_network(spec.generator(spec.prior())).eval()
    torch.save(mine.state_dict(), tmp_path / "w.pt")
    safetensors.torch.save_file(mine.state_dict(), tmp_path / "w.safetensors")
    z = torch.randn(3, 6)
    for file in ("w.pt", "w.safetensors"):
        network, _ = weights.imported(tmp_path / file, spec)
        assert torch.equal(network(z), mine(z))
    wider = NetworkSpec("dcgan", 8, 6, (1, 8, 8))
    with pytest.raises(InputError, match=r"holds no weights of width 8.* in another shape project\."):
        weights.imported(tmp_path / "w.pt", wider)


def test_weights_elsewhere_take_labels_where_the_file_does(tmp_path: Path) -> None:
    """Told by their shapes; a network of other labels than the data set has is refused."""
    spec = NetworkSpec("dcgan", 4, 6, (1, 8, 8), classes=3)
    z, y = torch.randn(3, 6), torch.arange(3)
    for inputs in ((spec.prior(),), (spec.prior(), spec.label())):
        mine = build_network(spec.generator(*inputs)).eval()
        torch.save(mine.state_dict(), tmp_path / "w.pt")
        network, config = weights.imported(tmp_path / "w.pt", spec)
        assert config.inputs == inputs
        given = (z, y)[: len(inputs)]
        assert torch.equal(network(*given), mine(*given))
    with pytest.raises(InputError, match=r"; nor of dcgan.generator with labels: it has in another shape"):
        weights.imported(tmp_path / "w.pt", replace(spec, classes=4))


def test_a_declaration_is_checked(workspace: Workspace) -> None:
    (workspace.folder / "theirs").mkdir()
    entry = {"file": "theirs/g.onnx", "dataset": "digits", "network": {"family": "onnx", "inputs": {"z": "gauss"}}}
    wrong = {
        "a": entry,
        "b": {"file": "w.onnx", "dataset": "digit", "network": {"family": "mlp", "width": 4, "latent": 2}},
    }
    workspace.declare({"imports": wrong})
    said = workspace.run("gan", "check")
    assert said.returncode == 2
    for part in (
        "imports.a.network.inputs.z",
        "imports.b.dataset 'digit' is not one of",
        "imports.b.file is 'w.onnx'",
    ):
        assert part in said.stderr + said.stdout, said.stderr
    entry["network"] = {"family": "onnx"}
    workspace.declare({"imports": {"a": entry}})
    said = workspace.run("gan", "check")
    assert "imports.a.file 'theirs/g.onnx' does not exist" in said.stderr


def test_an_import_ships_as_a_run_does(built: Workspace) -> None:
    """Through DVC: figures, gated graphs, engines, card, and a report that does not say it was trained here."""
    for name, role in (("dcgan", "generator"), ("nhwc", "translator")):
        manifest = manifest_of(built.folder / "exported" / name)
        shipped = manifest["roles"][role]
        assert {g["precision"] for g in shipped["graphs"].values()} == {"fp32", "fp16", "int8"}
        assert shipped["engines"]
        assert "step" not in manifest["metrics"][role]["protocol"]
        card = (built.folder / "exported" / name / "README.md").read_text()
        assert f"Imported from {name}.onnx" in card
    page = (built.folder / "report.html").read_text()
    assert "imported from dcgan.onnx" in page
    assert built.run("dvc", "status", "-q").returncode == 0


def test_its_own_declaration_alone_imports_it_again(built: Workspace) -> None:
    """Another range is another network: `dvc status` says so of this import, and of nothing else."""
    with_range = {"family": "onnx", "inputs": {"input.1": "normal"}, "range": [-1, 1]}
    before = (built.folder / "params.yaml").read_bytes()
    built.declare({"imports.dcgan.network": with_range})
    said = built.run("dvc", "status").stdout
    (built.folder / "params.yaml").write_bytes(before)
    assert "import_network@dcgan" in said
    assert "import_network@nhwc" not in said
    assert "train@" not in said
