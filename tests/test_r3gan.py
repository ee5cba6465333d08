"""R3GAN: the authors' numbers, and what its networks promise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.networks import r3gan
from gan_core.objectives import adversarial, penalties

GOLDEN = Path(__file__).parents[2] / "shared" / "data" / "r3gan" / "golden.npz"
SIZES = {"channels": (24, 16, 12), "blocks": (2, 1, 2), "embedding": 6}


def renamed(name: str, up: bool) -> str:
    """A weight of the authors' under our name. In their discriminator a change of resolution ends a stage."""
    parts = {"LinearLayer1": "expand", "LinearLayer2": "filter", "LinearLayer3": "project"}
    whole = {
        "MainLayers.0.Layers.0.Basis": "basis.maps",
        "MainLayers.0.Layers.0.LinearLayer.weight": "basis.scale.weight",
        "AggregationLayer.Layer.weight": "last.weight",
        "EmbeddingLayer.weight": "embeddings.y.weight" if up else "head.embeddings.0.weight",
        "ExtractionLayer.Layer.weight": "body.first.weight",
        "MainLayers.2.Layers.2.Basis.weight": "body.basis.weight",
        "MainLayers.2.Layers.2.LinearLayer.weight": "head.score.weight",
    }
    if name in whole and (up or not name.startswith("MainLayers.0")):
        return whole[name]
    found = re.fullmatch(r"MainLayers\.(\d)\.Layers\.(\d)\.(\w+)\.(Layer\.weight|Bias)", name)
    assert found, name
    stage, place, layer, _ = found.groups()
    place = str(int(place) - (up and stage == "0"))  # the basis is no part of the first stage
    where = f"{'' if up else 'body.'}stages.{stage}.{place}"
    if layer == "LinearLayer":
        return f"{where}.convert.weight"
    if layer.startswith("NonLinearity"):
        return f"{where}.act_{layer[-1]}.bias"
    return f"{where}.{parts[layer]}.weight"


def with_weights(network: nn.Module, given: Mapping[str, NDArray[np.float64]], up: bool) -> nn.Module:
    """A network in float64 with the authors' weights, all of them and no other."""
    network = network.double()
    network.load_state_dict({renamed(name, up): torch.from_numpy(value) for name, value in given.items()})
    return network


@pytest.mark.parametrize("kind", ["plain", "conditional"])
def test_the_authors_numbers(kind: str) -> None:
    """Outputs, scores, penalties and the gradient of every weight, on the authors' random weights."""
    if not GOLDEN.is_file():
        pytest.skip(f"{GOLDEN.name} with the authors' numbers is not there")
    with np.load(GOLDEN) as file:
        golden = {name.removeprefix(f"{kind}/"): file[name] for name in file.files if name.startswith(kind)}
    labels = (Input("y", "label", 5),) if kind == "conditional" else ()
    weights = {
        role: {n.removeprefix(f"{role}/"): v for n, v in golden.items() if n.startswith(f"{role}/")}
        for role in ("generator", "discriminator")
    }
    shape = (3, 16, 16)
    made = NetworkConfig("r3gan.generator", shape, 24, (Input("z", "normal", 8), *labels), options=SIZES)
    seen = NetworkConfig("r3gan.discriminator", shape, 24, projected=labels, options=SIZES)
    generator = with_weights(r3gan.Generator(made), weights["generator"], up=True)
    discriminator = with_weights(r3gan.Discriminator(seen), weights["discriminator"], up=False)
    z, x = (torch.from_numpy(golden[name]) for name in ("z", "x"))
    y = [torch.from_numpy(golden["y"])] if labels else []

    def agree(name: str, found: Tensor) -> None:
        np.testing.assert_allclose(found.detach().numpy(), golden[name], rtol=1e-9, atol=1e-12, err_msg=name)

    fake = generator(z, *y)
    real_scores, r1 = penalties.with_squared_gradient_norm(lambda x: discriminator(x, *y), x)
    fake_scores, r2 = penalties.with_squared_gradient_norm(lambda x: discriminator(x, *y), fake.detach())
    agree("fake", fake)
    agree("real_scores", real_scores)
    agree("fake_scores", fake_scores)
    agree("r1", r1)
    agree("r2", r2)
    agree("d_adversarial", softplus(fake_scores - real_scores))
    terms = adversarial.discriminator_relativistic(real_scores, fake_scores)
    (terms["discriminator"] + 0.5 * (r1 + r2).mean() / 2).backward()
    names = {renamed(n, up=False): k for k, n in enumerate(golden["discriminator_names"])}
    for name, weight in discriminator.named_parameters():
        assert weight.grad is not None
        assert weight.grad.norm().item() == pytest.approx(
            golden["discriminator_gradient_norms"][names.pop(name)], rel=1e-9
        )
    assert not names
    scores = discriminator(x, *y), discriminator(generator(z, *y), *y)
    agree("g_adversarial", softplus(scores[0] - scores[1]))
    adversarial.generator_relativistic(scores[1], scores[0])["generator"].backward()
    names = {renamed(n, up=True): k for k, n in enumerate(golden["generator_names"])}
    for name, weight in generator.named_parameters():
        assert weight.grad is not None
        assert weight.grad.norm().item() == pytest.approx(golden["generator_gradient_norms"][names.pop(name)], rel=1e-9)
    assert not names


@pytest.mark.parametrize("up", [True, False])
def test_gradients_of_a_change_of_resolution(up: bool) -> None:
    """Of both orders, against finite differences; and in bfloat16 the same but for rounding, gradients of both too."""
    layer = r3gan.Resample(3, 3, up)
    x = torch.randn(2, 3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)
    found = []
    for enabled in (False, True):
        a = x.detach().float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = layer(a)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        y = y.float()
        (first,) = torch.autograd.grad(y.pow(3).sum(), a, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), a)
        found.append((y, first, second))
    for exact, rounded in zip(*found, strict=True):
        assert (exact - rounded).norm() < 0.02 * exact.norm()
