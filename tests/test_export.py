"""Export: the same bytes from anywhere, the gate against sabotage, engines by NVIDIA's own parser and builder."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import model_config_pb2

from gan_core import config
from gan_core.artifact import Artifact
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.errors import DataError, EnvironmentFailure
from gan_core.export import engine, gate, triton
from gan_core.export import onnx as graph
from gan_core.export.ship import Judge, checksums, judged, ship
from gan_core.metrics.measure import Reference
from gan_core.networks.build import build
from gan_core.pictures import to_uint8
from gan_core.signature import Body, Input, Recipe
from tests.conftest import ROOT

EXPORT = config.load(ROOT / "params.yaml").export
LIMIT = EXPORT.tolerance


@pytest.fixture(scope="module")
def judge(digits: Prepared) -> Judge:
    """FID on the pixels themselves: cheap, and enough to see a change."""

    class Pixels(torch.nn.Module):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)

    reference = Reference.of(Pixels(), digits.samples("heldout"), digits.index)
    return Judge({"sample": reference.fid}, {"sample": digits.samples("heldout").numpy()}, 600, 1, to_model)


def refusals(model: bytes, network: torch.nn.Module, trained: Artifact, judge: Judge) -> list[str]:
    findings, _ = judged(model, gate.torch_runner(network), trained, EXPORT, judge, 2)
    return [str(f) for f in findings if not f.passed]


@pytest.fixture(scope="module")
def honest(trained: Artifact) -> bytes:
    return graph.export(trained.network, trained.recipe, EXPORT.opset)


def test_an_honest_export_passes(trained: Artifact, honest: bytes, judge: Judge) -> None:
    assert refusals(honest, trained.network, trained, judge) == []
    pixels = graph.Pixels(trained.network)
    assert refusals(graph.export(pixels, trained.recipe, EXPORT.opset), pixels, trained, judge) == []


ROLES = {
    "encoder of the mlp": Body("mlp", 8, 4, (1, 8, 8)).encoder(Input("z", "normal", 4)),
    "encoder of the dcgan": Body("dcgan", 8, 4, (1, 8, 8)).encoder(Input("z", "normal", 4)),
    "translator of the mlp": Body("mlp", 8, 0, (1, 8, 8)).translator("sample", "other"),
    "translator, 8 pixels": Body("resnet", 4, 0, (1, 8, 8)).translator("sample", "other"),
    "translator, 16 pixels": Body("resnet", 4, 0, (1, 16, 16)).translator("sample", "other"),
    "translator, 64 pixels": Body("resnet", 2, 0, (1, 64, 64)).translator("sample", "other"),
    "codes": Body("mlp", 32, 4, (1, 8, 8)).generator(
        Input("z", "uniform", 4), Input("category", "category", 3), Input("code", "uniform", 2)
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_every_kind_of_role_is_shipped(role: str, digits: Prepared, tmp_path) -> None:
    """Images in, latents out, codes in: the same gate, on held-out samples where the input is data; and an engine."""
    recipe = ROLES[role]
    side = recipe.inputs[0].shape[-1]
    big = digits.samples("heldout").repeat_interleave(side // 8 or 1, 2).repeat_interleave(side // 8 or 1, 3)
    judge = Judge({}, {"sample": big.numpy()}, 600, 1, to_model)
    trained = Artifact(build(recipe).eval(), recipe, {"data": "none"}, "none")
    one = replace(EXPORT, max_batch_size=8, engines=replace(EXPORT.engines, targets=[86]))
    entry = ship("r", "role", trained, tmp_path, one, judge, 1)
    assert [i["name"] for i in entry["inputs"]] == [i.name for i in recipe.inputs]
    assert entry["output"]["name"] == {"latent": "z"}.get(recipe.gives, "image")
    assert len(entry["engines"]) == (1 if recipe.gives == "latent" else 2)
    wrong = onnx.load(tmp_path / "role.onnx")
    flip_a_weight(wrong)
    findings, _ = judged(wrong.SerializeToString(), gate.torch_runner(trained.network), trained, one, judge, 1)
    assert any(f.check.startswith("max abs error") and not f.passed for f in findings)


def test_pixels_are_what_the_library_calls_pixels(trained: Artifact) -> None:
    model = graph.export(graph.Pixels(trained.network), trained.recipe, EXPORT.opset)
    inputs = trained.recipe.pinned(50, 3)
    expected = to_uint8(gate.torch_runner(trained.network)(inputs))
    got = gate.onnx_runner(model, 2)(inputs)
    assert got.dtype == np.uint8
    assert got.shape == (50, 8, 8, 1)
    assert (got != expected).mean() < 1e-3


def altered(model: bytes, change) -> bytes:
    proto = onnx.load_from_string(model)
    change(proto)
    return proto.SerializeToString()


def last_weight(proto: onnx.ModelProto) -> TensorProto:
    """Of the layer before the output."""
    layer = [n for n in proto.graph.node if n.op_type in ("Gemm", "MatMul", "Conv")][-1]
    return next(t for t in proto.graph.initializer if t.name == layer.input[1])


def flip_a_weight(proto: onnx.ModelProto) -> None:
    tensor = last_weight(proto)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[np.abs(values).argmax()] *= -1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def add_own_noise(proto: onnx.ModelProto) -> None:
    output = proto.graph.node[-1]
    name = output.output[0]
    output.output[0] = "quiet"
    noise = helper.make_node("RandomNormalLike", ["quiet"], ["noise"], scale=1e-9)
    proto.graph.node.extend([noise, helper.make_node("Add", ["quiet", "noise"], [name])])


def scale_output(proto: onnx.ModelProto) -> None:
    """The wrong normalisation: [0, 1] instead of [-1, 1]."""
    output = proto.graph.node[-1]
    name = output.output[0]
    output.output[0] = "right"
    half = numpy_helper.from_array(np.float32(0.5), "half")
    proto.graph.initializer.append(half)
    nodes = [helper.make_node("Mul", ["right", "half"], ["m"]), helper.make_node("Add", ["m", "half"], [name])]
    proto.graph.node.extend(nodes)


def mix_the_batch(proto: onnx.ModelProto) -> None:
    """Adds a little of the batch mean, as batch statistics would: right for a batch of one, and wrong beyond."""
    output = proto.graph.node[-1]
    name = output.output[0]
    output.output[0] = "alone"
    proto.graph.initializer.extend(
        [numpy_helper.from_array(np.array([0], np.int64), "axis"), numpy_helper.from_array(np.float32(0.01), "little")]
    )
    proto.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["alone", "axis"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["mean", "alone"], ["off"]),
            helper.make_node("Mul", ["off", "little"], ["step"]),
            helper.make_node("Add", ["alone", "step"], [name]),
        ]
    )


def write_nan(proto: onnx.ModelProto) -> None:
    tensor = last_weight(proto)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def fix_the_batch(proto: onnx.ModelProto) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = ""
        value.type.tensor_type.shape.dim[0].dim_value = 2


def rename_input(proto: onnx.ModelProto) -> None:
    old = proto.graph.input[0].name
    proto.graph.input[0].name = "noise"
    for node in proto.graph.node:
        node.input[:] = ["noise" if name == old else name for name in node.input]


def newer_format(proto: onnx.ModelProto) -> None:
    proto.ir_version = 11


def leak_a_path(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].doc_string = 'File "/home/someone/project/networks.py", line 3'


SABOTAGE = [
    (flip_a_weight, "max abs error at batch 64 is"),
    (add_own_noise, "nodes that draw their own noise is RandomNormalLike"),
    (scale_output, "max abs error at batch 7 is"),
    (mix_the_batch, "max abs dependence on the batch is"),
    (write_nan, "max abs error at batch 1 is nan"),
    (leak_a_path, "paths of the exporting machine is /home/someone/project/networks.py"),
    (newer_format, "IR version is 11, allowed 10"),
]


@pytest.mark.parametrize(("sabotage", "reason"), SABOTAGE, ids=lambda s: getattr(s, "__name__", ""))
def test_the_gate_refuses_sabotage(sabotage, reason: str, trained: Artifact, honest: bytes, judge: Judge) -> None:
    found = refusals(altered(honest, sabotage), trained.network, trained, judge)
    assert any(reason in f for f in found), found


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [(fix_the_batch, "batch of 'z' is 2, allowed dynamic"), (rename_input, "names is noise, image, allowed z, image")],
)
def test_the_lint_refuses(sabotage, reason: str, trained: Artifact, honest: bytes) -> None:
    found = [str(f) for f in gate.lint(altered(honest, sabotage), ["z", "image"], EXPORT.opset) if not f.passed]
    assert found == [reason, *found[1:]]


def test_another_opset_is_refused(trained: Artifact) -> None:
    model = graph.export(trained.network, trained.recipe, 18)
    found = [str(f) for f in gate.lint(model, ["z", "image"], 20) if not f.passed]
    assert found == ["opsets is {'ai.onnx': 18}, allowed {'ai.onnx': 20}"]


def test_training_mode_is_refused_twice(trained: Artifact, judge: Judge) -> None:
    """By our exporter and by the gate: torch's own exporter writes an evaluation graph and says nothing."""
    network = build(trained.recipe)
    network.load_state_dict(trained.network.state_dict())
    network.train()
    with pytest.raises(DataError, match="training mode"):
        graph.export(network, trained.recipe, EXPORT.opset)
    model = graph.export(network.eval(), trained.recipe, EXPORT.opset)
    with pytest.raises(DataError, match="training mode"):
        refusals(model, network.train(), trained, judge)


@pytest.mark.parametrize("wrong", ["scale", "order", "rounding"])
def test_wrong_pixels_are_refused(wrong: str, trained: Artifact, judge: Judge) -> None:
    right = graph.Pixels(trained.network)

    class Wrong(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = trained.network
            self.eval()

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            x = self.generator(*inputs)
            if wrong == "order":
                x = x.flip(3)
            x = (x + 1) * (128 if wrong == "scale" else 127.5)
            x = x if wrong == "rounding" else x.round()
            return x.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)

    model = graph.export(Wrong(), trained.recipe, EXPORT.opset)
    found = refusals(model, right, trained, judge)
    assert any("share of pixels that differ" in f for f in found), found


def test_no_file_is_no_graph() -> None:
    with pytest.raises(DataError, match="ONNX Runtime cannot load"):
        gate.onnx_runner(b"hello", 1)


def test_the_same_bytes_from_another_folder(trained: Artifact, honest: bytes, tmp_path) -> None:
    """Another process, another working directory, another copy of the code."""
    from gan_core import artifact
    from tests.conftest import Workspace

    copy = Workspace(tmp_path)
    artifact.save(tmp_path / "a.safetensors", trained.network, trained.recipe, {"data": "x"})
    program = (
        "from pathlib import Path; from hashlib import sha256; from gan_core import artifact\n"
        "from gan_core.export import onnx, engine\n"
        "a = artifact.load(Path('a.safetensors')); m = onnx.export(a.network, a.recipe, 20)\n"
        "e = engine.build(engine.library('tensorrt_rtx'), m, a.recipe, 64, 86)\n"
        "print(onnx.__file__, sha256(m).hexdigest(), sha256(e).hexdigest(), len(e))"
    )
    done = copy.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    file, model, built, size = done.stdout.split()
    assert file.startswith(str(tmp_path))
    assert model == hashlib.sha256(honest).hexdigest()
    here = engine.build(engine.library("tensorrt_rtx"), honest, trained.recipe, 64, 86)
    same = hashlib.sha256(here).hexdigest()
    # With convolutions the builder numbers its temporaries differently from build to build; nothing else differs.
    assert built == same if trained.recipe.network == "mlp.generator" else size == str(len(here))


def test_the_builder_says_what_it_cannot_read(trained: Artifact) -> None:
    trt = engine.library("tensorrt_rtx")
    with pytest.raises(DataError, match="cannot read the graph"):
        engine.build(trt, b"no graph", trained.recipe, 8, 86)
    with pytest.raises(EnvironmentFailure, match=r"does not know \[77\]; it builds for \[75, 80, 86, 89, 120"):
        engine.targets(trt, [86, 77])
    with pytest.raises(EnvironmentFailure, match=r"'tensorrt', .* cannot be loaded .* or set it to 'none'"):
        if subprocess.run([sys.executable, "-c", "import tensorrt"], capture_output=True).returncode == 0:
            pytest.skip("tensorrt is installed here")
        engine.library("tensorrt")


def test_what_is_shipped_is_described(trained: Artifact, judge: Judge, tmp_path) -> None:
    entry = ship("r", "generator", trained, tmp_path, EXPORT, judge, 2)
    listed = checksums(tmp_path)
    assert {"generator.onnx", "generator.uint8.onnx"} < listed.keys()
    assert len(entry["engines"]) == 2 * len(EXPORT.engines.targets)
    assert all(e["file"] in listed for e in entry["engines"])
    same = [listed["generator.onnx"], listed["model_repository/r_generator/1/model.onnx"]]
    assert same[0] == same[1]
    assert entry["provenance"]["weights_sha256"] == trained.sha256


def parsed(path) -> model_config_pb2.ModelConfig:
    """A configuration, by the server's own schema."""
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def test_a_repository_is_what_the_servers_schema_allows(tmp_path) -> None:
    recipe = Recipe(
        "mlp.generator", (3, 4, 5), 8, (Input("z", "normal", 6), Input("y", "label", 10), Input("c", "uniform", 2))
    )
    triton.write(tmp_path, "r_g_uint8", b"graph", recipe, True, 16, {"run": "r"})
    triton.write_seeded(tmp_path, "r_g", "r_g_uint8", recipe, True, 16, {"run": "r"})
    graph_config = tmp_path / "r_g_uint8/config.pbtxt"
    engines = {"9.0": b"engine of an H100", "8.9": b"engine of an L4"}
    triton.write_engines(tmp_path, "r_g_uint8", graph_config.read_text(), engines, 16)
    found = {path.parent.name: parsed(path) for path in tmp_path.glob("*/config.pbtxt")}
    assert {name: config.name for name, config in found.items()} == {name: name for name in found}
    plan, onnx_ = found["r_g_uint8_tensorrt"], found["r_g_uint8"]
    for capability, file in plan.cc_model_filenames.items():
        assert (tmp_path / "r_g_uint8_tensorrt/1" / file).read_bytes() == engines[capability]
    assert (plan.backend, onnx_.backend) == ("tensorrt", "onnxruntime")
    assert (list(plan.input), list(plan.output)) == (list(onnx_.input), list(onnx_.output))
    assert list(plan.dynamic_batching.preferred_batch_size) == [4, 16]
    seeded, step = found["r_g_seeded"], found["r_g_latents"]
    assert [(i.name, i.optional) for i in seeded.input] == [
        ("seed", False),
        ("z", True),
        ("y", False),
        ("c", True),
        ("truncation", True),
    ]
    assert list(seeded.input) == list(step.input)
    assert list(seeded.output) == list(onnx_.output)
    first, second = seeded.ensemble_scheduling.step
    assert (first.model_name, second.model_name) == ("r_g_latents", "r_g_uint8")
    assert set(first.input_map) == {i.name for i in step.input}
    assert set(first.output_map) == {o.name for o in step.output} == set(second.input_map)
    assert dict(first.output_map) == dict(second.input_map)
    copied = (tmp_path / "r_g_latents/1/model.py").read_bytes()
    assert copied == (ROOT / "gan_core/latents.py").read_bytes()


def test_a_config_tells_the_server_what_the_network_was_built_for() -> None:
    recipe = Recipe("mlp.generator", (3, 4, 5), 8, (Input("z", "normal", 6), Input("y", "label", 10)))
    text = triton.config("m", recipe, True, 16, {"run": "r"}, "KIND_CPU")
    assert 'input [ { name: "z" data_type: TYPE_FP32 dims: [ 6 ] } ]' in text
    assert 'input [ { name: "y" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } } ]' in text
    assert 'output [ { name: "image" data_type: TYPE_UINT8 dims: [ 4, 5, 3 ] } ]' in text
    assert 'parameters { key: "run" value: { string_value: "r" } }' in text
