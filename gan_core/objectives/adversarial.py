"""What a discriminator and a generator minimise, as functions of raw scores v (N,). Every result is a mean over N."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus

from gan_core.core.types import Score, Terms


def same_form(*tensors: Tensor, pairs: bool = False) -> None:
    """Refuse what would broadcast, as (N, 1) beside (N,) to (N, N).

    Raises:
        ValueError: the tensors have not one shape but for N; with ``pairs``, N included.
    """
    first, *others = (tuple(t.shape[0 if pairs else 1 :]) for t in tensors)
    if any(t.dim() != tensors[0].dim() for t in tensors) or any(other != first for other in others):
        raise ValueError(f"an objective is given shapes {', '.join(str(tuple(t.shape)) for t in tensors)}, not one")


def discriminator(real: Score, fake: Score) -> Terms:
    """-E log D(x) - E log(1 - D(G(z))) with D = sigmoid(v). Goodfellow et al. 2014, eq. 1.

    At the optimum v* = log p/p_g the sum is 2 log 2 - 2 JSD.
    """
    same_form(real, fake)
    return {"real": softplus(-real).mean(), "fake": softplus(fake).mean()}


def generator_saturating(fake: Score) -> Terms:
    """E log(1 - D(G(z))). Goodfellow et al. 2014, eq. 1: the minimax objective."""
    return {"generator": -softplus(fake).mean()}


def generator_non_saturating(fake: Score) -> Terms:
    """-E log D(G(z)). Goodfellow et al. 2014, section 3: the same fixed point, stronger gradients early."""
    return {"generator": softplus(-fake).mean()}


def discriminator_least_squares(real: Score, fake: Score) -> Terms:
    """1/2 E (v(x) - 1)^2 + 1/2 E v(G(z))^2. LSGAN, Mao et al. 2017, eq. 9 (targets 0 and 1)."""
    same_form(real, fake)
    return {"real": (real - 1).square().mean() / 2, "fake": fake.square().mean() / 2}


def generator_least_squares(fake: Score) -> Terms:
    """1/2 E (v(G(z)) - 1)^2. LSGAN, Mao et al. 2017, eq. 9."""
    return {"generator": (fake - 1).square().mean() / 2}


def discriminator_hinge(real: Score, fake: Score) -> Terms:
    """E max(0, 1 - v(x)) + E max(0, 1 + v(G(z))). Lim & Ye 2017; Miyato et al. 2018, eq. 16."""
    same_form(real, fake)
    return {"real": relu(1 - real).mean(), "fake": relu(1 + fake).mean()}


def discriminator_relativistic(real: Score, fake: Score) -> Terms:
    """-E log sigmoid(v(x) - v(G(z))) over pairs. Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024, eq. 2."""
    same_form(real, fake, pairs=True)
    return {"discriminator": softplus(fake - real).mean()}


def generator_relativistic(fake: Score, real: Score) -> Terms:
    """-E log sigmoid(v(G(z)) - v(x)) over pairs: the discriminator's objective with the roles exchanged."""
    same_form(fake, real, pairs=True)
    return {"generator": softplus(real - fake).mean()}


def critic(real: Score, fake: Score) -> Terms:
    """E v(G(z)) - E v(x), the negative of the estimated distance. Arjovsky et al. 2017, Algorithm 1."""
    same_form(real, fake)
    return {"critic": fake.mean() - real.mean()}


def generator_wasserstein(fake: Score) -> Terms:
    """-E v(G(z)). Arjovsky et al. 2017, Algorithm 1."""
    return {"generator": -fake.mean()}


@dataclass(frozen=True)
class Objective:
    """What both sides of a game minimise. ``needs_real``: the generator's side looks at the real scores too."""

    discriminator: Callable[[Score, Score], Terms]
    generator: Callable[..., Terms]
    needs_real: bool = False


OBJECTIVES = {
    "non_saturating": Objective(discriminator, generator_non_saturating),
    "saturating": Objective(discriminator, generator_saturating),
    "least_squares": Objective(discriminator_least_squares, generator_least_squares),
    "hinge": Objective(discriminator_hinge, generator_wasserstein),
    "relativistic": Objective(discriminator_relativistic, generator_relativistic, needs_real=True),
}
