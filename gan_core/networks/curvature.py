"""The generator f of an f-divergence as a network: convex, f(1) = 0, f'(1) = 0 and f''(1) = 1 by construction.

Everything is a function of the log-ratio v = log u. The curvature kappa(v) = e^v f''(e^v) = dT/dv is positive for every
convex f and for no other, so any positive kappa with kappa(0) = 1 is an f in normal form:

    T(v) = f'(e^v) = integral of kappa from 0 to v        f*(T(v)) = integral of e^s kappa(s) from 0 to v

and f(e^v) = e^v T(v) - f*(T(v)). The local order alpha(v) = 1 + d log kappa / dv says which alpha divergence f is like
at the ratio e^v: 1 is Kullback-Leibler, 0 its reverse, 2 Pearson's chi-squared.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.runtime.errors import InputError

CAPABILITIES = {"neural": (), "mixture": ()}
REACH, KNOTS = 8.0, 641
"""The grid of v on which a neural curvature is integrated."""
STEP = 2 * REACH / (KNOTS - 1)

ORDERS = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Of the alpha divergences that a mixture mixes."""

V = Input("v", "normal", 1)


class Curvature(nn.Module):
    """What both forms share. Called on v (N, 1) it gives the local order alpha(v), for plots."""

    config: NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def links(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """T(v) = f'(e^v) and f*(T(v)) = e^v f'(e^v) - f(e^v), of any shape, |v| at most 8."""
        raise NotImplementedError

    def link(self, v: Tensor) -> Tensor:
        """T(v) alone."""
        return self.links(v)[0]

    def conjugate_link(self, v: Tensor) -> Tensor:
        """f*(T(v)) alone."""
        return self.links(v)[1]

    def f(self, u: Tensor) -> Tensor:
        """The generator itself, for u within e^-8 and e^8."""
        link, conjugate_link = self.links(u.log())
        return u * link - conjugate_link


class Neural(Curvature):
    """A locally varying alpha divergence: alpha(v) = low + (high - low) sigmoid(network(v / 4)).

    log kappa is the integral of alpha - 1. It starts at the alpha divergence of order ``start``. Integrals are sums of
    trapezoids on a grid, read by cubic Hermite interpolation with the known slopes, so both are differentiable in v
    and in the weights. The sums are products with a matrix of ones: a cumulative sum has no deterministic CUDA kernel.

    Raises:
        InputError: ``start`` does not lie between the bounds.
    """

    bounds: Tensor
    grid: Tensor
    upto: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        low, high, start = (config.options[name] for name in ("low", "high", "start"))
        if not low < start < high:
            raise InputError(f"settings.start is {start}; it must lie between lowest ({low}) and highest ({high})")
        width = config.width
        last = nn.Linear(width, 1)
        share = (start - low) / (high - low)
        with torch.no_grad():
            last.weight.mul_(0.01)
            last.bias.fill_(log(share / (1 - share)))
        self.body = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), last)
        self.register_buffer("bounds", torch.tensor([low, high]))
        self.register_buffer("grid", torch.linspace(-REACH, REACH, KNOTS), persistent=False)
        self.register_buffer("upto", torch.ones(KNOTS // 2, KNOTS // 2).triu(), persistent=False)

    def forward(self, v: Tensor) -> Tensor:
        """(N, 1) to alpha(v), (N, 1)."""
        alpha: Tensor = self.bounds[0] + (self.bounds[1] - self.bounds[0]) * self.body(v / 4).sigmoid()
        return alpha

    def table(self) -> tuple[Tensor, Tensor]:
        """T and f*(T) on the grid, and their slopes kappa and e^v kappa: (2, KNOTS) both."""
        kappa = self.integral(self(self.grid[:, None]).squeeze(1) - 1).exp()
        slopes = torch.stack([kappa, self.grid.exp() * kappa])
        return self.integral(slopes), slopes

    def integral(self, y: Tensor) -> Tensor:
        """From 0 to each knot, summed outwards: summed from one end, large values there would drown the small."""
        areas = (y[..., :-1] + y[..., 1:]) * (STEP / 2)
        down, up = areas[..., : KNOTS // 2].flip(-1) @ self.upto, areas[..., KNOTS // 2 :] @ self.upto
        return torch.cat([-down.flip(-1), torch.zeros_like(y[..., :1]), up], -1)

    def links(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Both, by cubic Hermite interpolation of the table."""
        values, slopes = self.table()
        k = ((v.detach() + REACH) / STEP).long().clamp(0, KNOTS - 2)
        t = (v + REACH) / STEP - k
        between = (2 * t**3 - 3 * t**2 + 1) * values[:, k] + (3 * t**2 - 2 * t**3) * values[:, k + 1]
        bend = (t**3 - 2 * t**2 + t) * slopes[:, k] + (t**3 - t**2) * slopes[:, k + 1]
        link, conjugate_link = between + STEP * bend
        return link, conjugate_link


class Mixture(Curvature):
    """A mixture of alpha divergences in normal form: sum of w_j f_j with weights from a softmax, in closed form.

    Most weight is on the orders nearest to ``start`` at first.
    """

    orders: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.register_buffer("orders", torch.tensor(ORDERS), persistent=False)
        self.logits = nn.Parameter(-4 * (self.orders - config.options["start"]).abs())

    def forward(self, v: Tensor) -> Tensor:
        """(N, 1) to alpha(v), (N, 1): the orders, weighed by what each adds to the curvature at v."""
        share = (self.logits.log_softmax(0) + (self.orders - 1) * v).softmax(1)
        return (share * self.orders).sum(1, keepdim=True)

    def links(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of w_j (e^((a_j - 1) v) - 1) / (a_j - 1) and of w_j (e^(a_j v) - 1) / a_j; over 0, their limit v."""
        weights = self.logits.softmax(0)
        link, conjugate_link = ((weights * powers(v, orders)).sum(-1) for orders in (self.orders - 1, self.orders))
        return link, conjugate_link


def powers(v: Tensor, order: Tensor) -> Tensor:
    """(e^(a v) - 1) / a for each a, and v where a is 0: (..., orders)."""
    a = torch.where(order == 0, torch.ones_like(order), order)
    return torch.where(order == 0, v[..., None].expand(*v.shape, len(order)), (a * v[..., None]).expm1() / a)


def config(form: str, start: float, low: float, high: float) -> NetworkConfig:
    """Of a curvature, "neural" or "mixture", at the alpha divergence of order ``start``.

    A neural one keeps its order between ``low`` and ``high``.
    """
    options = {"start": start, "low": low, "high": high}
    return NetworkConfig(f"curvature.{form}", (1,), 16, (V,), output_space="curve", options=options)
