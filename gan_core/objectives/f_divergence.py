"""The f-divergences of Nowozin et al. 2016 as records: the paper's form, and a form that is stable for every f.

D_f(p||q) = E_q f(p/q) is bounded below by E_p T - E_q f*(T) (eq. 4), tight at T = f'(p/q). The paper gives each f its
own output activation T = g_f(v) (table 6), so v means something else for each, and each has a domain to fall out of.
Here v is the log-ratio: T = f'(e^v), f*(T) = e^v f'(e^v) - f(e^v). Then for every f the optimal v is log p/q, v = 0 is
the decision threshold, no domain can be left, and no conjugate need be known in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gan_core.core.types import Score, Terms
from gan_core.objectives.adversarial import same_form

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FDivergence:
    """One row of tables 1, 2, 5 and 6 of the paper, and its stable form."""

    f: Function
    """The convex generator f(u), u = p/q > 0."""
    conjugate: Function
    """f*(t) = sup_u (u t - f(u)) for t below ``domain``."""
    activation: Function
    """The paper's g_f(v), increasing, with values in the domain of f*."""
    link: Function
    """T(v) = f'(e^v)."""
    conjugate_link: Function
    """f*(T(v)) = e^v f'(e^v) - f(e^v)."""
    threshold: float
    """f'(1): above it a sample is taken for real."""
    domain: float = float("inf")
    """The supremum of t for which f* is finite."""
    at_one: float = 0.0
    """f(1): what D_f(p||p) is."""


def lambert_exp(y: Tensor) -> Tensor:
    """W(e^y), the w with w + ln w = y, by Newton's method in z = ln w."""
    z = torch.where(y > 1, y.clamp_min(1).log(), y - 1)
    for _ in range(30):
        z = z - (z.exp() + z - y) / (z.exp() + 1)
    return z.exp()


def total_variation() -> FDivergence:
    """1/2 |u - 1|. The link relaxes the sign of v to a tanh."""
    return FDivergence(
        f=lambda u: (u - 1).abs() / 2,
        conjugate=lambda t: t.clamp_min(-0.5),
        activation=lambda v: v.tanh() / 2,
        link=lambda v: v.tanh() / 2,
        conjugate_link=lambda v: v.tanh() / 2,
        threshold=0.0,
        domain=0.5,
    )


def kl() -> FDivergence:
    """Kullback-Leibler, u log u."""
    return FDivergence(
        f=lambda u: u * u.log(),
        conjugate=lambda t: (t - 1).exp(),
        activation=lambda v: v,
        link=lambda v: v + 1,
        conjugate_link=lambda v: v.exp(),
        threshold=1.0,
    )


def reverse_kl() -> FDivergence:
    """Reverse Kullback-Leibler, -log u."""
    return FDivergence(
        f=lambda u: -u.log(),
        conjugate=lambda t: -1 - (-t).log(),
        activation=lambda v: -(-v).exp(),
        link=lambda v: -(-v).exp(),
        conjugate_link=lambda v: v - 1,
        threshold=-1.0,
        domain=0.0,
    )


def pearson() -> FDivergence:
    """Pearson chi-squared, (u - 1)^2. f* is t^2/4 + t only down to t = -2, as u cannot be negative; below it is -1."""
    return FDivergence(
        f=lambda u: (u - 1).square(),
        conjugate=lambda t: (t.clamp_min(-2) / 2 + 1).square() - 1,
        activation=lambda v: v,
        link=lambda v: 2 * v.expm1(),
        conjugate_link=lambda v: (2 * v).expm1(),
        threshold=0.0,
    )


def neyman() -> FDivergence:
    """Neyman chi-squared, (1 - u)^2 / u."""
    return FDivergence(
        f=lambda u: (1 - u).square() / u,
        conjugate=lambda t: 2 - 2 * (1 - t).sqrt(),
        activation=lambda v: -(-v).expm1(),
        link=lambda v: -(-2 * v).expm1(),
        conjugate_link=lambda v: -2 * (-v).expm1(),
        threshold=0.0,
        domain=1.0,
    )


def squared_hellinger() -> FDivergence:
    """Squared Hellinger, (sqrt u - 1)^2."""
    return FDivergence(
        f=lambda u: (u.sqrt() - 1).square(),
        conjugate=lambda t: t / (1 - t),
        activation=lambda v: -(-v).expm1(),
        link=lambda v: -(-v / 2).expm1(),
        conjugate_link=lambda v: (v / 2).expm1(),
        threshold=0.0,
        domain=1.0,
    )


def jeffrey() -> FDivergence:
    """Jeffrey, (u - 1) log u: the sum of both Kullback-Leibler divergences."""

    def conjugate(t: Tensor) -> Tensor:
        w = lambert_exp(1 - t)
        return w + 1 / w + t - 2

    return FDivergence(
        f=lambda u: (u - 1) * u.log(),
        conjugate=conjugate,
        activation=lambda v: v,
        link=lambda v: v - (-v).expm1(),
        conjugate_link=lambda v: v.expm1() + v,
        threshold=0.0,
    )


def jensen_shannon() -> FDivergence:
    """U log u - (u + 1) log((u + 1)/2), which is twice the Jensen-Shannon divergence: at most 2 log 2."""
    return FDivergence(
        f=lambda u: u * u.log() - (u + 1) * ((u + 1) / 2).log(),
        conjugate=lambda t: -(2 - t.exp()).log(),
        activation=lambda v: log(2) - softplus(-v),
        link=lambda v: log(2) - softplus(-v),
        conjugate_link=lambda v: softplus(v) - log(2),
        threshold=0.0,
        domain=log(2),
    )


def jensen_shannon_weighted(weight: float = 0.5) -> FDivergence:
    """Pi u log u - (1 - pi + pi u) log(1 - pi + pi u), with pi = ``weight`` in (0, 1)."""
    p = weight

    def log_mixture(v: Tensor) -> Tensor:
        return torch.logaddexp(torch.full_like(v, log(1 - p)), v + log(p))

    return FDivergence(
        f=lambda u: p * u * u.log() - (1 - p + p * u) * (1 - p + p * u).log(),
        conjugate=lambda t: (1 - p) * ((1 - p) / (1 - p * (t / p).exp())).log(),
        activation=lambda v: -p * log(p) - softplus(-v),
        link=lambda v: p * (v - log_mixture(v)),
        conjugate_link=lambda v: (1 - p) * log_mixture(v),
        threshold=0.0,
        domain=-p * log(p),
    )


def gan() -> FDivergence:
    """U log u - (u + 1) log(u + 1): Goodfellow's game, 2 JSD - log 4. The one row with f(1) not 0."""
    return FDivergence(
        f=lambda u: u * u.log() - (u + 1) * (u + 1).log(),
        conjugate=lambda t: -(-t.expm1()).log(),
        activation=lambda v: -softplus(-v),
        link=lambda v: -softplus(-v),
        conjugate_link=softplus,
        threshold=-log(2),
        domain=0.0,
        at_one=-log(4),
    )


def alpha_divergence(alpha: float = 0.5) -> FDivergence:
    """(u^a - 1 - a (u - 1)) / (a (a - 1)); towards a = 1 it is KL, towards a = 0 reverse KL, each in normal form."""
    a = alpha
    if a in (0.0, 1.0):
        raise ValueError("alpha 0 and 1 are limits: use reverse_kl and kl")
    bound = 1 / (1 - a) if a < 1 else float("inf")
    return FDivergence(
        f=lambda u: (u**a - 1 - a * (u - 1)) / (a * (a - 1)),
        conjugate=lambda t: (((a - 1) * t + 1).clamp_min(0) ** (a / (a - 1)) - 1) / a,
        activation=(lambda v: bound - softplus(-v)) if a < 1 else (lambda v: v),
        link=lambda v: ((a - 1) * v).expm1() / (a - 1),
        conjugate_link=lambda v: (a * v).expm1() / a,
        threshold=0.0,
        domain=bound,
    )


DIVERGENCES: dict[str, Callable[..., FDivergence]] = {
    "total_variation": total_variation,
    "kl": kl,
    "reverse_kl": reverse_kl,
    "pearson": pearson,
    "neyman": neyman,
    "squared_hellinger": squared_hellinger,
    "jeffrey": jeffrey,
    "jensen_shannon": jensen_shannon,
    "jensen_shannon_weighted": jensen_shannon_weighted,
    "gan": gan,
    "alpha": alpha_divergence,
}


def soft_clip(v: Score, limit: float) -> Score:
    """``limit`` tanh(v / limit): keeps e^v finite; the bound stays a bound, over a smaller class of functions."""
    return limit * (v / limit).tanh()


def discriminator(divergence: FDivergence, real: Score, fake: Score) -> Terms:
    """-(E_p T - E_q f*(T)): the negative of the bound of eq. 4, so that its estimate of D_f is minus the sum."""
    same_form(real, fake)
    return {"real": -divergence.link(real).mean(), "fake": divergence.conjugate_link(fake).mean()}


def generator_exact(divergence: FDivergence, fake: Score) -> Terms:
    """-E_q f*(T): what the generator minimises by algorithm 1."""
    return {"generator": -divergence.conjugate_link(fake).mean()}


def generator_non_saturating(divergence: FDivergence, fake: Score) -> Terms:
    """-E_q T: the alternative of section 3.2, as Goodfellow's non-saturating form is to his minimax form."""
    return {"generator": -divergence.link(fake).mean()}
