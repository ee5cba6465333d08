"""What a discriminator and a generator minimise, as functions of raw scores v (N,). Every result is a mean over N."""

from __future__ import annotations

from torch.nn.functional import softplus

from gan_core.types import Score, Terms


def discriminator(real: Score, fake: Score) -> Terms:
    """-E log D(x) - E log(1 - D(G(z))) with D = sigmoid(v). Goodfellow et al. 2014, eq. 1.

    At the optimum v* = log p/p_g the sum is 2 log 2 - 2 JSD.
    """
    return {"real": softplus(-real).mean(), "fake": softplus(fake).mean()}


def generator_saturating(fake: Score) -> Terms:
    """E log(1 - D(G(z))). Goodfellow et al. 2014, eq. 1: the minimax objective."""
    return {"generator": -softplus(fake).mean()}


def generator_non_saturating(fake: Score) -> Terms:
    """-E log D(G(z)). Goodfellow et al. 2014, section 3: the same fixed point, stronger gradients early."""
    return {"generator": softplus(-fake).mean()}


def critic(real: Score, fake: Score) -> Terms:
    """E v(G(z)) - E v(x), the negative of the estimated distance. Arjovsky et al. 2017, Algorithm 1."""
    return {"critic": fake.mean() - real.mean()}


def generator_wasserstein(fake: Score) -> Terms:
    """-E v(G(z)). Arjovsky et al. 2017, Algorithm 1."""
    return {"generator": -fake.mean()}
