"""The projected discriminator: what is frozen stays out of checkpoints, and what it sees is as it is said."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import interpolate

from gan_core.core.artifact import content_digest
from gan_core.core.build_game import build_game
from gan_core.core.game import Game, modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch
from gan_core.networks import efficientnet_lite0 as lite0
from gan_core.networks.layers.resize import Resize
from gan_core.networks.projected import CHANNELS, map_sides
from gan_core.runtime.errors import InputError

pytestmark = pytest.mark.skipif(lite0.installed() is None, reason="the weights of EfficientNet-Lite0 are not installed")


def game(seed: int = 0, projection_seed: int = 0, **settings: object) -> Game:
    torch.manual_seed(seed)
    settings |= {"projection_seed": projection_seed}
    return build_game("projected_gan", NetworkSpec("fastgan", 4, 8, (3, 64, 64), 3), settings)


def test_resize_is_interpolation() -> None:
    x = torch.rand(2, 3, 20, 28)
    for mode, size, smooth in (("bicubic", (64, 48), True), ("bilinear", (40, 56), False), ("bicubic", (9, 7), True)):
        expected = interpolate(x, size, mode=mode, align_corners=False, antialias=smooth)
        assert torch.allclose(Resize((20, 28), size, mode)(x), expected, atol=1e-5)  # type: ignore[arg-type]


def test_smoothing_keeps_what_is_flat_and_removes_the_finest_stripes() -> None:
    see = Resize((16, 12), (16, 12), "bicubic", smoothed=True)
    stripes = torch.ones(1, 1, 16, 12)
    assert torch.allclose(see(stripes), stripes)
    stripes[..., ::2] = -1
    assert torch.allclose(see(stripes)[..., 1:-1], torch.zeros(1), atol=1e-6)
    projector = game().discriminator.projector.network  # type: ignore[attr-defined]
    finest = torch.ones(1, 3, 64, 64)
    finest[..., ::2] = -1
    assert torch.allclose(projector.resize(finest)[..., 1:-1], torch.zeros(1), atol=1e-6), "it sees no finest stripes"


def test_the_projector_is_a_function_of_the_declaration_and_in_no_checkpoint() -> None:
    found = [modules(game(*which)) for which in ((0, 0), (1, 0), (0, 1))]
    digests = [content_digest(m.frozen["discriminator.projector"].network.state_dict(), {}) for m in found]
    assert digests[0] == digests[1] != digests[2]
    trained = found[0].trained["discriminator"]
    assert {name.split(".")[0] for name in trained.state_dict()} == {"heads"}
    before = copy.deepcopy(trained.projector.network.state_dict())  # type: ignore[union-attr]
    trained.double().train()
    assert trained(torch.zeros(2, 3, 64, 64, dtype=torch.float64)).dtype == torch.float64
    assert not trained.projector.network.training  # type: ignore[union-attr]
    after = trained.float().projector.network.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("side", [32, 64, 100])
def test_maps_have_the_sides_that_heads_are_made_for(side: int) -> None:
    played = game(side=side)
    maps = played.discriminator.projector(torch.rand(2, 3, 64, 64) * 2 - 1)  # type: ignore[attr-defined]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, n, n) for c, n in zip(CHANNELS, map_sides(side), strict=True)]
    last = [judged(n) for n in map_sides(side)]
    assert played.discriminator(torch.zeros(2, 3, 64, 64)).shape == (2, sum(n * n for n in last))  # type: ignore[attr-defined]
    beside = game(side=side, pixels=4)
    assert beside.discriminator(torch.zeros(2, 3, 64, 64)).shape == (2, sum(n * n for n in [*last, 4]))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"settings.side is 16; .* from 32 pixels on"):
        game(side=16)


def judged(side: int) -> int:
    """Of a square map, the side of the one that is judged: halved while it is 8 or more."""
    return side if side < 8 else judged(side // 2)


def test_one_picture_drawn_again_and_again_has_scores_of_its_own() -> None:
    played, x = game(), torch.rand(8, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        among, alone = (played.discriminator(batch)[0] for batch in (x, x[:1].expand(8, -1, -1, -1)))  # type: ignore[attr-defined]
    assert not torch.allclose(among, alone, atol=1e-2)


def test_what_all_generated_pictures_share_shows_only_beside_real_ones() -> None:
    """Statistics of a batch take off what all its maps have; so both kinds are judged in one."""
    played = game(pixels=8)
    head, h = played.discriminator.heads[-1], torch.randn(8, CHANNELS[-1], 2, 2)  # type: ignore[attr-defined]
    shifted = h + torch.randn(1, CHANNELS[-1], 1, 1)
    with torch.no_grad():
        assert torch.allclose(head(shifted), head(h), atol=1e-4)
        of_one, of_other = head(torch.cat([h, shifted])).chunk(2)
        assert (of_one - of_other).abs().mean() > 0.1
        x, others = torch.rand(8, 3, 64, 64) * 2 - 1, torch.rand(2, 8, 3, 64, 64)
        beside = [played.judged(x, Batch(real))[1] for real in others]  # type: ignore[attr-defined]
    assert not torch.allclose(*beside, atol=1e-3)


def test_a_label_changes_scores_and_alpha_is_seen() -> None:
    played = game(conditional=True)
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    one, two = (played.discriminator(x, torch.full((4,), k)) for k in (0, 1))  # type: ignore[attr-defined]
    assert (one != two).all()
    clear = torch.cat([x, torch.full((4, 1, 64, 64), -1.0)], 1)
    torch.manual_seed(0)
    seen = build_game("projected_gan", NetworkSpec("fastgan", 4, 8, (4, 64, 64)), {}).discriminator.projector(clear)  # type: ignore[attr-defined]
    assert all(torch.allclose(m, m[:1].expand_as(m), atol=1e-4) for m in seen)  # nothing but the background
