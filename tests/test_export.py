"""Export: the same bytes from anywhere, the gate against sabotage, engines by NVIDIA's own parser and builder."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import model_config_pb2 as pb

from gan_core.config import schema
from gan_core.config.load import load_params
from gan_core.core.artifact import Artifact
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.pixels import to_uint8
from gan_core.data.packed import to_model
from gan_core.data.prepared import Prepared
from gan_core.export import endpoints, engine, gate
from gan_core.export import onnx as graph
from gan_core.export.graph import with_pixels
from gan_core.export.manifest import ModelEndpoint, endpoint_json
from gan_core.export.precision import in_precision
from gan_core.export.ship import AcceptanceReference, Case, checked, checksums, ship, wanted_engine
from gan_core.runtime.errors import DataError, EnvironmentFailure
from gan_core.serving.backends.triton import configs, repository
from tests.conftest import DECLARED, ROOT, flat_reference

EXPORT = load_params(DECLARED).export
PRECISIONS = ("fp16", "bf16", "int8")
ALL = replace(EXPORT, precisions={**EXPORT.precisions, "bf16": schema.Tolerance(0.2, 40, 1, 0.5, 0.05)})
"""As declared, and bfloat16 too."""


@pytest.fixture(scope="module")
def reference(digits: Prepared) -> AcceptanceReference:
    """FD of the pixels themselves: cheap, and enough to see a change."""
    return AcceptanceReference({"x": flat_reference(digits).fd}, {"x": digits.samples("heldout")}, 600, 1)


def refusals(
    model: bytes, trained: Artifact, reference: AcceptanceReference, precision: str = "fp32", pixels: bool = False
) -> list[str]:
    findings, _ = checked(model, Case(trained, ALL, reference, 2), precision, pixels)
    return [str(f) for f in findings if not f.passed]


def shipped(
    trained: Artifact, folder: Path, export: schema.Export, reference: AcceptanceReference, threads: int = 2
) -> dict[str, Any]:
    """The manifest's entry of a role."""
    return ship("r", "generator", trained, folder, export, reference, threads, repository.write)[0]


@pytest.fixture(scope="module")
def honest(trained: Artifact) -> bytes:
    return graph.export(trained.network, trained.config, EXPORT.opset)


def test_an_honest_export_passes(trained: Artifact, honest: bytes, reference: AcceptanceReference) -> None:
    assert refusals(honest, trained, reference) == []
    assert refusals(with_pixels(honest, trained.config.images), trained, reference, pixels=True) == []


def shown(trained: Artifact, scale: float = 1) -> list[dict[str, np.ndarray]]:
    """What int8 is calibrated on."""
    return [{name: v * np.float32(scale) for name, v in trained.config.fixed_inputs(256, 5).items()}]


def in_(precision: str, trained: Artifact, honest: bytes) -> bytes:
    return in_precision(honest, precision, shown(trained))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_is_there_passes_and_repeats(
    precision: str, trained: Artifact, honest: bytes, reference: AcceptanceReference
) -> None:
    """In the graph, in what the engine builder reads of it, and in its size."""
    model = in_(precision, trained, honest)
    assert model == in_(precision, trained, honest)
    if precision == "bf16" and trained.config.network.startswith("dcgan"):
        (found,) = [f for f in refusals(model, trained, reference, precision) if "ONNX checker" in f]
        assert "unsupported type: tensor(bfloat16)" in found, "a convolution of bfloat16 is ONNX from opset 22 on"
        model = in_(precision, trained, graph.export(trained.network, trained.config, 22))
        case = Case(trained, replace(ALL, opset=22), reference, 2)
        assert all(f.passed for f in checked(model, case, precision)[0])
    else:
        assert refusals(model, trained, reference, precision) == []
        assert refusals(with_pixels(model, trained.config.images), trained, reference, precision, True) == []
    trt = engine.library("tensorrt_rtx")
    assert engine.build(trt, model, wanted_engine(trained.config, precision, False, 64), 86)
    with pytest.raises(DataError, match=f"reads the graph as {precision}, not as fp32"):
        engine.build(trt, model, wanted_engine(trained.config, "fp32", False, 64), 86)


def test_rounding_is_what_torch_does_in_that_type(trained: Artifact, honest: bytes) -> None:
    """The rounded reference against torch computing in the type: about as far from float32, and nothing in between.

    Torch rounds before and after batch normalisation, which the graph has folded away.
    """
    inputs = trained.config.fixed_inputs(64, 3)
    exact = gate.torch_runner(trained.network)(inputs)
    for precision, kind in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        narrow = build_network(trained.config)
        narrow.load_state_dict(trained.network.state_dict())
        with torch.no_grad():
            expected = narrow.eval().to(kind)(*(torch.from_numpy(v).to(kind) for v in inputs.values())).float().numpy()
        got = gate.rounded_reference(in_(precision, trained, honest), precision, 1)(inputs)
        assert gate.psnr(got, exact) == pytest.approx(gate.psnr(expected, exact), abs=6)
        assert np.array_equal(torch.from_numpy(got).to(kind).float().numpy(), got)


Z4 = Input("z", "normal", 4)
ROLES = {
    "encoder of the mlp": NetworkSpec("mlp", 8, 4, (1, 8, 8)).encoder(Input("z", "normal", 4)),
    "encoder of the dcgan": NetworkSpec("dcgan", 8, 4, (1, 8, 8)).encoder(Input("z", "normal", 4)),
    "translator of the mlp": NetworkSpec("mlp", 8, 0, (1, 8, 8)).translator("x", "x_b"),
    "translator, 8 pixels": NetworkSpec("resnet", 4, 0, (1, 8, 8)).translator("x", "x_b"),
    "translator, 16 pixels": NetworkSpec("resnet", 4, 0, (1, 16, 16)).translator("x", "x_b"),
    "translator, 64 pixels": NetworkSpec("resnet", 2, 0, (1, 64, 64)).translator("x", "x_b"),
    "r3gan of a label": NetworkSpec("r3gan", 16, 4, (1, 16, 16)).generator(Z4, Input("y", "label", 3)),
    "fastgan, excited": NetworkSpec("fastgan", 4, 4, (3, 64, 64)).generator(Z4),
    "codes": NetworkSpec("mlp", 32, 4, (1, 8, 8)).generator(
        Input("z", "uniform", 4), Input("category", "category", 3), Input("code", "uniform", 2)
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_every_kind_of_role_is_shipped(role: str, digits: Prepared, tmp_path) -> None:
    """Images in, latents out, codes in: the same gate, on held-out samples where the input is data; and an engine."""
    config = ROLES[role]
    side = config.shape[-1] if config.is_image else config.inputs[0].shape[-1]
    big = digits.samples("heldout")[:].repeat_interleave(side // 8 or 1, 2).repeat_interleave(side // 8 or 1, 3)
    reference = AcceptanceReference({}, {"x": big}, 600, 1)
    trained = Artifact(build_network(config).eval(), config, {"data": "none"}, "none")
    one = replace(EXPORT, max_batch_size=8, engines=replace(EXPORT.engines, targets=[86], precisions=["int8"]))
    entry, endpoints = ship("r", "role", trained, tmp_path, one, reference, 1, repository.write)
    forms = 1 if config.output_space == "latent" else 2
    assert [i["name"] for i in entry["inputs"]] == [i.name for i in config.inputs]
    assert entry["output"]["name"] == {"latent": "z"}.get(config.output_space, "image")
    assert entry["refused"] == {}
    assert len(entry["graphs"]) == 3 * forms
    assert [e.is_graph for e in endpoints[:forms]] == [True] * forms
    sees_a_part = entry.get("tiles", {}).get("reach") is not None
    more = ["seeded"] * (not any(i.is_data for i in config.inputs)) + ["tiled"] * sees_a_part
    assert [e.name for e in endpoints[forms:]] == [f"r_role_{what}" for what in more]
    assert {e.graph for e in endpoints} <= entry["graphs"].keys()
    assert len(entry["engines"]) == forms
    wrong = onnx.load(tmp_path / "role.onnx")
    flip_a_weight(wrong)
    findings, _ = checked(wrong.SerializeToString(), Case(trained, one, reference, 1))
    assert any(f.check.startswith("max abs error") and not f.passed for f in findings)


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_translator_takes_any_sides(side: int, precision: str) -> None:
    """Multiples of 4 that it was not exported with, float and pixels; and a server is told so."""
    config = NetworkSpec("resnet", 4, 0, (3, side, side)).translator("x", "x_b")
    network = build_network(config).eval()
    small = config.fixed_inputs(64, 1)
    model = in_precision(graph.export(network, config, 20), precision, [small])
    for high, wide in ((8, 8), (side + 4, 2 * side), (40, 12)):
        pixels = np.random.default_rng(0).integers(0, 256, (3, high, wide, 3), np.uint8)
        x = to_model(torch.from_numpy(pixels))
        with torch.no_grad():
            y = network(x).numpy()
        got = gate.onnx_runner(model, 1)({"x": x.numpy()})
        assert gate.psnr(got, y) > (100 if precision == "fp32" else 30)
        drawn = gate.onnx_runner(with_pixels(model, config.images), 1)({"x": pixels})
        assert (drawn != to_uint8(got)).mean() < 1e-3
    (endpoint,) = endpoints.served("r", "role", config, {"g": True}, "fp32", 16)
    told = configs.graph(endpoint, {}, gpu=False)
    assert [(i.name, i.data_type, list(i.dims)) for i in told.input] == [("x", pb.TYPE_UINT8, [-1, -1, 3])]
    assert [list(w.inputs["x"].dims) for w in told.model_warmup] == [[side, side, 3]] * 2
    wanted = wanted_engine(config, precision, True, 16)
    assert [*wanted.profiles(fixed=False)] == [{"x": ((1, 8, 8, 3), (4, side, side, 3), (16, 2 * side, 2 * side, 3))}]
    assert [*wanted.profiles(fixed=True)] == [{"x": ((n, side, side, 3),) * 3} for n in (1, 16)]
    trt = engine.library("tensorrt_rtx")
    assert engine.build(trt, with_pixels(model, config.images), wanted_engine(config, precision, True, 16), 86)


def test_pixels_are_what_the_library_calls_pixels(trained: Artifact) -> None:
    model = with_pixels(graph.export(trained.network, trained.config, EXPORT.opset), trained.config.images)
    inputs = trained.config.fixed_inputs(50, 3)
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


def mix_the_batch(proto: onnx.ModelProto, little: float = 0.01) -> None:
    """Adds a little of the batch mean, as batch statistics would: right for a batch of one, and wrong beyond."""
    output = proto.graph.node[-1]
    name = output.output[0]
    output.output[0] = "alone"
    proto.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([0], np.int64), "axis"),
            numpy_helper.from_array(np.float32(little), "little"),
        ]
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
def test_the_gate_refuses_sabotage(
    sabotage, reason: str, trained: Artifact, honest: bytes, reference: AcceptanceReference
) -> None:
    found = refusals(altered(honest, sabotage), trained, reference)
    assert any(reason in f for f in found), found


def reshape_to_two(proto: onnx.ModelProto) -> None:
    """Loads, is valid to the checker, says that its batch is dynamic, and runs for a batch of two alone."""
    output = proto.graph.node[-1]
    name = output.output[0]
    shape = [d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim][1:]
    output.output[0] = "whole"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2, *shape], np.int64), "two"))
    proto.graph.node.append(helper.make_node("Reshape", ["whole", "two"], [name]))
    del proto.graph.value_info[:]


@pytest.mark.parametrize("sabotage", [*(s for s, _ in SABOTAGE), reshape_to_two, fix_the_batch, rename_input])
def test_ship_refuses_sabotage_with_one_sentence(
    sabotage, trained: Artifact, honest: bytes, reference: AcceptanceReference, tmp_path, monkeypatch
) -> None:
    """Whatever a check runs into is a finding, never a traceback; nothing is left that looks like an export."""
    bad = altered(honest, sabotage)
    monkeypatch.setattr(graph, "export", lambda *_: bad)
    alone = replace(
        EXPORT,
        precisions={"fp32": EXPORT.precisions["fp32"]},
        engines=replace(EXPORT.engines, flavour="none", precisions=["fp32"]),
    )
    with pytest.raises(DataError, match=r"^the gate refuses r: generator\.onnx: "):
        shipped(trained, tmp_path, alone, reference)
    assert not list(tmp_path.iterdir())


def initializers(proto: onnx.ModelProto, end: str) -> list[TensorProto]:
    """Those whose name ends so."""
    return [t for t in proto.graph.initializer if t.name.endswith(end)]


def rewritten(tensor: TensorProto, change) -> None:
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))


def mix_more_of_the_batch(proto: onnx.ModelProto) -> None:
    mix_the_batch(proto, 0.1)


def wrong_scales(proto: onnx.ModelProto) -> None:
    """Of the activations; a quarter of what was calibrated, so they saturate."""
    for tensor in initializers(proto, "_scale"):
        if not tensor.dims:
            rewritten(tensor, lambda v: (v / 4).astype(np.float32))


def mixed_up_channels(proto: onnx.ModelProto) -> None:
    rewritten(initializers(proto, "weight_scale")[0], lambda v: v[::-1].copy())


def coarse_weights(proto: onnx.ModelProto) -> None:
    """Two bits in an int8 coat."""
    for tensor in initializers(proto, "weight_quantized"):
        rewritten(tensor, lambda v: (np.round(v / 127 * 2) * 63).astype(np.int8))


def without_qdq(proto: onnx.ModelProto) -> None:
    """One heavy operation gets its activations as they are."""
    quantise = next(n for n in proto.graph.node if n.op_type == "QuantizeLinear")
    dequantise = next(n for n in proto.graph.node if quantise.output[0] in n.input)
    for node in proto.graph.node:
        node.input[:] = [quantise.input[0] if name == dequantise.output[0] else name for name in node.input]


def a_zero_point(proto: onnx.ModelProto) -> None:
    for tensor in initializers(proto, "_zero_point"):
        rewritten(tensor, lambda v: (v + 1).astype(np.int8))


def one_scale_for_all_channels(proto: onnx.ModelProto) -> None:
    for name in ("weight_scale", "weight_zero_point"):
        for tensor in initializers(proto, name):
            rewritten(tensor, lambda v: v.max())
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear":
            del node.attribute[:]


def swallow_an_activation(proto: onnx.ModelProto) -> None:
    """Times 100,000 and back before the tanh: nothing to float32, infinity to float16."""
    tanh = next(n for n in proto.graph.node if n.op_type == "Tanh")
    proto.graph.initializer.extend(
        [numpy_helper.from_array(np.float32(1e5), "much"), numpy_helper.from_array(np.float32(1e-5), "back")]
    )
    at = list(proto.graph.node).index(tanh)
    proto.graph.node.insert(at, helper.make_node("Mul", [tanh.input[0], "much"], ["loud"]))
    proto.graph.node.insert(at + 1, helper.make_node("Mul", ["loud", "back"], ["quiet"]))
    tanh.input[0] = "quiet"


def narrow_input(proto: onnx.ModelProto) -> None:
    """float16 where a client sends float32."""
    cast = proto.graph.node[0]
    assert cast.op_type == "Cast"
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def few_bits(proto: onnx.ModelProto) -> None:
    """float16 weights of which four bits are left."""
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16 and len(tensor.dims) > 1:
            rewritten(tensor, lambda v: (v.view(np.uint16) & 0xFF00).view(np.float16))


def as_it_is(proto: onnx.ModelProto) -> None:
    pass


FAKED = [
    ("int8", "int8", wrong_scales, "PSNR at batch 64 is"),
    ("int8", "int8", mixed_up_channels, "PSNR at batch 64 is"),
    ("int8", "int8", coarse_weights, "PSNR at batch 64 is"),
    ("int8", "int8", without_qdq, "x fp32, "),
    ("int8", "int8", a_zero_point, "x int8 that is not symmetric, allowed all int8"),
    ("int8", "int8", one_scale_for_all_channels, "x int8 that is not by tensor and channel, allowed all int8"),
    ("int8", "int8", mix_more_of_the_batch, "PSNR of rows in a batch is"),
    ("fp32", "fp16", as_it_is, "x fp32, allowed all fp16"),
    ("fp32", "int8", as_it_is, "x fp32, allowed all int8"),
    ("bf16", "fp16", as_it_is, "x bf16, allowed all fp16"),
    ("fp16", "bf16", as_it_is, "x fp16, allowed all bf16"),
    ("fp16", "fp16", few_bits, "PSNR at batch 64 is"),
    ("fp16", "fp16", narrow_input, "type of 'z' is float16[8], allowed float32[8]"),
    ("fp16", "fp16", leak_a_path, "paths of the exporting machine is /home/someone"),
    ("int8", "int8", add_own_noise, "nodes that draw their own noise is RandomNormalLike"),
]


@pytest.mark.parametrize(
    ("made", "named", "sabotage", "reason"), FAKED, ids=lambda s: getattr(s, "__name__", "") if callable(s) else ""
)
def test_the_gate_refuses_a_faked_precision(
    made: str, named: str, sabotage, reason: str, trained: Artifact, honest: bytes, reference: AcceptanceReference
) -> None:
    model = honest if made == "fp32" else in_(made, trained, honest)
    found = refusals(altered(model, sabotage), trained, reference, named)
    assert any(reason in f for f in found), found


def test_an_overflow_of_float16_is_seen(trained: Artifact, honest: bytes, reference: AcceptanceReference) -> None:
    """ONNX Runtime on the CPU computes float16 in float32 here and there, so it may not see it; the gate does."""
    loud = altered(honest, swallow_an_activation)
    assert refusals(loud, trained, reference) == []
    found = refusals(in_precision(loud, "fp16", []), trained, reference, "fp16")
    assert any("max abs error at batch 64 is" in f for f in found), found


def test_int8_calibrated_on_the_wrong_range_is_refused(
    trained: Artifact, honest: bytes, reference: AcceptanceReference
) -> None:
    found = refusals(in_precision(honest, "int8", shown(trained, 0.1)), trained, reference, "int8")
    assert any("PSNR at batch 64 is" in f for f in found), found


def test_a_refused_precision_is_left_out_and_the_rest_ships(
    trained: Artifact, reference: AcceptanceReference, tmp_path
) -> None:
    graphs = replace(EXPORT, engines=replace(EXPORT.engines, flavour="none", precisions=["fp32"]))
    strict = {**EXPORT.precisions, "int8": replace(EXPORT.precisions["int8"], psnr=150.0)}
    entry = shipped(trained, tmp_path, replace(graphs, precisions=strict), reference)
    assert set(entry["refused"]) == {"generator.int8.onnx", "generator.int8.uint8.onnx"}
    assert "PSNR at batch 1 is" in entry["refused"]["generator.int8.onnx"][0]
    assert (
        {p.name for p in tmp_path.glob("*.onnx")}
        == set(entry["graphs"])
        == {f"generator{p}{form}.onnx" for p in ("", ".fp16") for form in ("", ".uint8")}
    )
    with pytest.raises(DataError, match=r"the gate refuses r in int8, which export\.served asks for: .*PSNR"):
        shipped(trained, tmp_path, replace(graphs, precisions=strict, served="int8"), reference)
    broken = {**EXPORT.precisions, "fp32": replace(EXPORT.precisions["fp32"], psnr=250.0)}
    with pytest.raises(DataError, match=r"the gate refuses r: generator\.onnx: PSNR at batch 1 is"):
        shipped(trained, tmp_path, replace(graphs, precisions=broken), reference)


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [(fix_the_batch, "batch of 'z' is 2, allowed dynamic"), (rename_input, "names is noise, image, allowed z, image")],
)
def test_the_lint_refuses(sabotage, reason: str, trained: Artifact, honest: bytes) -> None:
    found = [str(f) for f in gate.lint(altered(honest, sabotage), ["z", "image"], EXPORT.opset) if not f.passed]
    assert found == [reason, *found[1:]]


def test_another_opset_is_refused(trained: Artifact) -> None:
    model = graph.export(trained.network, trained.config, 18)
    found = [str(f) for f in gate.lint(model, ["z", "image"], 20) if not f.passed]
    assert found == ["opsets is {'ai.onnx': 18}, allowed {'ai.onnx': 20}"]


def test_training_mode_is_refused_twice(trained: Artifact, reference: AcceptanceReference) -> None:
    """By our exporter and by the gate: torch's own exporter writes an evaluation graph and says nothing."""
    network = build_network(trained.config)
    network.load_state_dict(trained.network.state_dict())
    network.train()
    with pytest.raises(DataError, match="training mode"):
        graph.export(network, trained.config, EXPORT.opset)
    model = graph.export(network.eval(), trained.config, EXPORT.opset)
    found = refusals(model, replace(trained, network=network.train()), reference)
    assert any("the network to compare with is in training mode" in f for f in found), found


@pytest.mark.parametrize("wrong", ["scale", "order", "rounding"])
def test_wrong_pixels_are_refused(wrong: str, trained: Artifact, reference: AcceptanceReference) -> None:
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

    model = graph.export(Wrong(), trained.config, EXPORT.opset)
    found = refusals(model, trained, reference, pixels=True)
    assert any("share of pixels that differ" in f for f in found), found


def test_no_file_is_no_graph() -> None:
    with pytest.raises(DataError, match="ONNX Runtime cannot load"):
        gate.onnx_runner(b"hello", 1)


def test_the_same_bytes_from_another_folder(trained: Artifact, honest: bytes, tmp_path) -> None:
    """Another process, another working directory, another copy of the code."""
    from gan_core.core import artifact
    from tests.conftest import Workspace

    copy = Workspace(tmp_path)
    artifact.save(tmp_path / "a.safetensors", trained.network, trained.config, {"data": "x"})
    program = (
        "from pathlib import Path; from hashlib import sha256; from gan_core.core import artifact\n"
        "from gan_core.export import onnx, engine, ship\n"
        "a = artifact.load(Path('a.safetensors')); m = onnx.export(a.network, a.config, 20)\n"
        "from gan_core.export.precision import in_precision; from tests.test_export import shown\n"
        "e = engine.build(engine.library('tensorrt_rtx'), m, ship.wanted_engine(a.config, 'fp32', False, 64), 86)\n"
        "others = b''.join(in_precision(m, p, shown(a)) for p in ('fp16', 'bf16', 'int8'))\n"
        "print(onnx.__file__, sha256(m + others).hexdigest(), sha256(e).hexdigest())"
    )
    done = copy.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    file, model, built = done.stdout.split()
    assert file.startswith(str(tmp_path))
    others = b"".join(in_(p, trained, honest) for p in PRECISIONS)
    assert model == hashlib.sha256(honest + others).hexdigest()
    here = engine.build(engine.library("tensorrt_rtx"), honest, wanted_engine(trained.config, "fp32", False, 64), 86)
    assert built == hashlib.sha256(here).hexdigest()


def test_the_builder_says_what_it_cannot_read(trained: Artifact) -> None:
    trt = engine.library("tensorrt_rtx")
    with pytest.raises(DataError, match="cannot read the graph"):
        engine.build(trt, b"no graph", wanted_engine(trained.config, "fp32", False, 64), 86)
    with pytest.raises(EnvironmentFailure, match=r"does not know \[77\]; it builds for \[75, 80, 86, 89, 120"):
        engine.targets(trt, [86, 77])
    with pytest.raises(
        EnvironmentFailure, match=r"'tensorrt', .* cannot be loaded .* or leave export.engines.here empty"
    ):
        if subprocess.run([sys.executable, "-c", "import tensorrt"], capture_output=True).returncode == 0:
            pytest.skip("tensorrt is installed here")
        engine.library("tensorrt")


def test_what_is_shipped_is_described(trained: Artifact, reference: AcceptanceReference, tmp_path) -> None:
    entry = shipped(trained, tmp_path, EXPORT, reference)
    listed = checksums(tmp_path)
    assert {"generator.onnx", "generator.uint8.onnx"} < listed.keys()
    assert len(entry["engines"]) == 2 * len(EXPORT.engines.precisions) * len(EXPORT.engines.targets)
    assert {e["precision"] for e in entry["engines"]} == set(EXPORT.engines.precisions)
    assert all(e["file"] in listed for e in entry["engines"])
    same = [listed["generator.onnx"], listed["model_repository/r_generator/1/model.onnx"]]
    assert same[0] == same[1]
    assert entry["provenance"]["weights_sha256"] == trained.sha256


def parsed(path) -> pb.ModelConfig:
    """A configuration, by the server's own schema."""
    return text_format.Parse(path.read_text(), pb.ModelConfig())


LABELLED = NetworkConfig(
    "mlp.generator", (3, 4, 5), 8, (Input("z", "normal", 6), Input("y", "label", 10), Input("c", "uniform", 2))
)


def test_a_repository_is_what_the_servers_schema_allows(tmp_path) -> None:
    offered = list(endpoints.served("r", "g", LABELLED, {"g.uint8.onnx": True}, "fp32", 16))
    repository.write(tmp_path, offered, {"g.uint8.onnx": b"graph"}, {"run": "r"})
    engines = {"9.0": b"engine of an H100", "8.9": b"engine of an L4"}
    repository.write_engines(tmp_path, offered[0], "fp16", engines, {"run": "r"})
    found = {path.parent.name: parsed(path) for path in tmp_path.glob("*/config.pbtxt")}
    assert {name: config.name for name, config in found.items()} == {name: name for name in found}
    assert {e.name for e in offered} == {"r_g_uint8", "r_g_seeded"} < found.keys()
    plan, onnx_ = found["r_g_uint8_tensorrt_fp16"], found["r_g_uint8"]
    for capability, file in plan.cc_model_filenames.items():
        assert (tmp_path / "r_g_uint8_tensorrt_fp16/1" / file).read_bytes() == engines[capability]
    assert (plan.backend, onnx_.backend) == ("tensorrt", "onnxruntime")
    assert (list(plan.input), list(plan.output)) == (list(onnx_.input), list(onnx_.output))
    assert list(plan.dynamic_batching.preferred_batch_size) == [4, 16]
    seeded, step = found["r_g_seeded"], found["r_g_latents"]
    assert [(i.name, i.optional) for i in seeded.input] == [
        ("seed", False),
        ("z", True),
        ("y", False),
        ("c", True),
        ("central_mass", True),
    ]
    assert list(seeded.input) == list(step.input)
    assert list(seeded.output) == list(onnx_.output)
    first, second = seeded.ensemble_scheduling.step
    assert (first.model_name, second.model_name) == ("r_g_latents", "r_g_uint8")
    assert set(first.input_map) == {i.name for i in step.input}
    assert set(first.output_map) == {o.name for o in step.output} == set(second.input_map)
    assert dict(first.output_map) == dict(second.input_map)
    copied = (tmp_path / "r_g_latents/1/model.py").read_bytes()
    assert copied == (ROOT / "gan_core/core/latents.py").read_bytes()


def test_tensorrt_in_a_server_takes_one_sample_to_the_largest_batch(tmp_path) -> None:
    """By the schema of the server; of open sides no shapes, as the largest are not known."""
    offered = list(endpoints.served("r", "g", LABELLED, {"g.uint8.onnx": True}, "fp16", 16))
    repository.write(tmp_path, offered, {"g.uint8.onnx": b"graph"}, {"run": "r"})
    told, gpu = (parsed(tmp_path / "r_g_uint8" / name) for name in ("configs/tensorrt.pbtxt", "config.pbtxt"))
    (accelerator,) = told.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, accelerator.parameters["precision_mode"]) == ("tensorrt", "FP16")
    assert accelerator.parameters["trt_profile_min_shapes"] == "z:1x6,y:1,c:1x2"
    assert accelerator.parameters["trt_profile_max_shapes"] == "z:16x6,y:16,c:16x2"
    told.ClearField("optimization")
    assert told == gpu
    resnet = NetworkConfig("resnet.translator", (1, 8, 8), 4, (Input("x", "x", 1, (1, 8, 8)),))
    (endpoint,) = endpoints.served("r", "g", resnet, {"g.onnx": False}, "fp32", 16)
    (accelerator,) = configs.tensorrt(endpoint, {}).optimization.execution_accelerators.gpu_execution_accelerator
    assert not [name for name in accelerator.parameters if "profile" in name]


def test_an_endpoint_survives_json() -> None:
    """What the manifest holds is what was offered."""
    for endpoint in endpoints.served("r", "g", LABELLED, {"g.onnx": False, "g.uint8.onnx": True}, "int8", 16):
        assert ModelEndpoint.from_json(json.loads(json.dumps(endpoint_json(endpoint)))) == endpoint


def test_a_config_tells_the_server_what_the_network_was_built_for() -> None:
    (endpoint, *_) = endpoints.served("r", "g", LABELLED, {"g": True}, "fp32", 16)
    for gpu, kind in ((True, pb.ModelInstanceGroup.KIND_GPU), (False, pb.ModelInstanceGroup.KIND_CPU)):
        told = text_format.Parse(configs.text(configs.graph(endpoint, {"run": "r"}, gpu)).decode(), pb.ModelConfig())
        assert [(i.name, i.data_type, list(i.dims), i.HasField("reshape")) for i in told.input] == [
            ("z", pb.TYPE_FP32, [6], False),
            ("y", pb.TYPE_INT64, [1], True),
            ("c", pb.TYPE_FP32, [2], False),
        ]
        assert list(told.input[1].reshape.shape) == [], "a scalar row to the graph"
        assert [(o.name, o.data_type, list(o.dims)) for o in told.output] == [("image", pb.TYPE_UINT8, [4, 5, 3])]
        assert [group.kind for group in told.instance_group] == [kind]
        assert told.parameters["run"].string_value == "r"
