"""The residual networks for bigger pictures."""

from typing import Any

import pytest
import torch

from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.game import modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch
from gan_core.networks.resnet_gan import Down, Up
from gan_core.runtime.errors import InputError
from gan_core.training.run import ExecutionConfig
from tests.conftest import begin, plan, take_steps


@pytest.mark.parametrize("size", [(8, 8), (24, 32), (64, 64), (128, 128)])
def test_a_generator_draws_what_a_critic_reads(size: tuple[int, int]) -> None:
    body = NetworkSpec("resnet_gan", 2, 5, (3, *size), 4)
    x = build_network(body.generator(body.prior()))(torch.randn(3, 5))
    assert x.shape == (3, 3, *size)
    assert x.abs().max() <= 1
    y = torch.tensor([0, 1, 3])
    for discriminator, given in (
        (body.discriminator(), ()),
        (body.discriminator(body.label()), (y,)),
        (body.discriminator(projected=(body.label(),)), (y,)),
    ):
        assert build_network(discriminator)(x, *given).shape == (3,)
    assert build_network(body.discriminator(pack=3))(x.reshape(1, 9, *size)).shape == (1,)


def test_a_critic_sees_each_sample_alone() -> None:
    body = NetworkSpec("resnet_gan", 4, 5, (1, 16, 16))
    critic = build_network(body.discriminator(spectral=True)).eval()
    x = torch.randn(4, 1, 16, 16)
    assert torch.allclose(critic(x)[:1], critic(x[:1]), atol=1e-5)


def test_spectral_norm_bounds_every_layer() -> None:
    discriminator = build_network(NetworkSpec("resnet_gan", 4, 4, (1, 16, 16)).discriminator(spectral=True))
    for _ in range(60):
        discriminator(torch.randn(2, 1, 16, 16))
    layers = [m for m in discriminator.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    assert len(layers) == 7
    largest = [torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() for m in layers]
    assert largest == pytest.approx([1.0] * len(layers), abs=0.02)


def test_without_its_branch_a_block_is_its_shortcut() -> None:
    """A flat picture stays flat through both kinds of block: the shortcut is linear, and halves and doubles evenly."""
    for block, side in ((Up(3, 3), 8), (Down(3, 3, first=False), 2)):
        torch.nn.init.zeros_(block.second.weight)
        torch.nn.init.zeros_(block.second.bias)
        torch.nn.init.dirac_(block.shortcut.weight)
        torch.nn.init.zeros_(block.shortcut.bias)
        flat = torch.tensor([1.0, -2.0, 3.0])[None, :, None, None]
        assert torch.allclose(block(flat.expand(2, 3, 4, 4)), flat.expand(2, 3, side, side))


@pytest.mark.parametrize(
    ("variant", "settings", "shards"),
    [("gan", {"objective": "hinge", "spectral_norm": True, "beta1": 0.0}, 1), ("wgan_gp", {"critic_steps": 1}, 2)],
)
def test_the_presets_of_bigger_pictures_train(variant: str, settings: dict[str, object], shards: int) -> None:
    """Two steps at 64 pixels in bfloat16: every weight that has a say moves, and stays a number."""
    torch.manual_seed(0)
    game: Any = build_game(variant, NetworkSpec("resnet_gan", 2, 8, (3, 64, 64)), settings)
    execution = ExecutionConfig(channels_last=True, precision="bfloat16", shards=shards)
    run = begin(game, plan(2, batch_size=4), "cpu", execution)
    before = {k: w.clone() for k, n in modules(game).saved.items() for k, w in n.named_parameters(k)}
    take_steps(run, lambda i: Batch(torch.rand(4, 3, 64, 64) * 2 - 1), 2)
    run.check()
    for k, n in modules(game).saved.items():
        for name, weight in n.named_parameters(k):
            shift = name.endswith("bias")  # that of a layer in front of a norm has no gradient
            assert shift or not torch.equal(weight, before[name]), name


@pytest.mark.parametrize("shape", [(1, 6, 8), (3, 30, 36), (2,)])
def test_what_it_cannot_draw_is_said(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=r"cannot draw .*at least 8 and halve evenly|draws images, these samples have shape"
    ):
        build_network(NetworkSpec("resnet_gan", 4, 4, shape).discriminator())
