"""Every row of the f-table against its definition: convexity, conjugate, links, bounds. Laws, at float64."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from gan_core.objectives import f_divergence as fd

ROWS = {**{name: make() for name, make in fd.DIVERGENCES.items()}}
ROWS |= {f"alpha={a}": fd.alpha_divergence(a) for a in (-1.0, 0.25, 1.5, 2.0, 3.0)}
ROWS |= {f"weight={w}": fd.jensen_shannon_weighted(w) for w in (0.1, 0.8)}
SMOOTH = {name: row for name, row in ROWS.items() if name != "total_variation"}
V = torch.linspace(-4, 4, 161, dtype=torch.float64)
every = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_smooth = pytest.mark.parametrize("row", SMOOTH.values(), ids=SMOOTH)


def derivative(function, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def test_the_table_is_whole() -> None:
    assert len(fd.DIVERGENCES) == 11


@every
def test_f_is_convex_and_its_value_at_one_is_said(row: fd.FDivergence) -> None:
    u = torch.linspace(0.05, 8, 400, dtype=torch.float64)
    assert (row.f(u[2:]) + row.f(u[:-2]) - 2 * row.f(u[1:-1]) >= -1e-12).all()
    one = torch.ones(1, dtype=torch.float64)
    assert row.f(one).item() == pytest.approx(row.at_one, abs=1e-12)


@every
def test_fenchel_young(row: fd.FDivergence) -> None:
    """u t <= f(u) + f*(t) for every u and t in the domain."""
    u = torch.logspace(-3, 3, 61, dtype=torch.float64)[:, None]
    t = row.activation(torch.linspace(-6, 6, 61, dtype=torch.float64))[None]
    slack = row.f(u) + row.conjugate(t) - u * t
    assert (slack >= -1e-9 * (1 + (u * t).abs())).all()


@every_smooth
def test_the_link_is_where_fenchel_young_is_tight(row: fd.FDivergence) -> None:
    u, t = V.exp(), row.link(V)
    assert torch.allclose(row.f(u) + row.conjugate(t), u * t, rtol=1e-9, atol=1e-9)
    assert torch.allclose(derivative(row.f, u), t, rtol=1e-9, atol=1e-9), "T = f'(e^v)"


@every
def test_both_links_agree_with_the_conjugate(row: fd.FDivergence) -> None:
    assert torch.allclose(row.conjugate(row.link(V)), row.conjugate_link(V), rtol=1e-9, atol=1e-9)
    assert row.link(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(row.threshold, abs=1e-12)


@every
def test_the_conjugate_is_the_supremum(row: fd.FDivergence) -> None:
    for v in (-2.0, -0.5, 0.3, 1.5):
        t = row.activation(torch.tensor([v], dtype=torch.float64)).item()

        def lost(log_u: float, t: float = t) -> float:
            u = math.exp(log_u)
            return row.f(torch.tensor([u], dtype=torch.float64)).item() - u * t

        best = min(
            minimize_scalar(lost, bounds=b, method="bounded", options={"xatol": 1e-11}).fun
            for b in ((-40, -3), (-4, 4), (3, 12))
        )
        got = row.conjugate(torch.tensor([t], dtype=torch.float64)).item()
        assert got == pytest.approx(-best, rel=1e-6, abs=1e-6)


@every
def test_activation_and_link_increase_into_the_domain(row: fd.FDivergence) -> None:
    """v > 0 means real, for every row: a decreasing g_f would train all the same, and flip every decision."""
    for function in (row.activation, row.link):
        t = function(V)
        assert (t.diff() > 0).all()
        assert (t < row.domain).all()


def test_pearson_below_minus_two() -> None:
    """t^2/4 + t is not f* there, and its slope has the wrong sign."""
    t = torch.tensor([-5.0, -2.0, 2.0], dtype=torch.float64)
    assert fd.pearson().conjugate(t).tolist() == pytest.approx([-1, -1, 3])
    assert derivative(fd.pearson().conjugate, t)[0] == 0


@every_smooth
def test_a_generator_s_gradient_never_points_the_wrong_way(row: fd.FDivergence) -> None:
    for objective in (fd.generator_exact, fd.generator_non_saturating):
        assert (derivative(lambda v, o=objective: o(row, v)["generator"], V) <= 0).all()


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "jeffrey", "jensen_shannon", "squared_hellinger", "gan"])
def test_the_bound_is_tight_at_the_log_ratio_and_nowhere_above(name: str) -> None:
    """For two Gaussians, by quadrature: E_p T - E_q f*(T) = D_f at v = log p/q, and less for any other v."""
    row = ROWS[name]

    def p(x: float) -> float:
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    def q(x: float) -> float:
        return math.exp(-((x - 1) ** 2) / 4.5) / math.sqrt(4.5 * math.pi)

    def at(function, value: float) -> float:
        return function(torch.tensor([value], dtype=torch.float64)).item()

    def bound(score) -> float:
        return quad(
            lambda x: p(x) * at(row.link, score(x)) - q(x) * at(row.conjugate_link, score(x)), -9, 9, limit=200
        )[0]

    divergence = quad(lambda x: q(x) * at(row.f, p(x) / q(x)), -9, 9, limit=200)[0]
    assert bound(lambda x: math.log(p(x) / q(x))) == pytest.approx(divergence, abs=1e-6)
    for wrong in (
        lambda x: 0.0,
        lambda x: 0.5 * math.log(p(x) / q(x)),
        lambda x: math.log(p(x) / q(x)) + 0.3 * math.sin(x),
    ):
        assert bound(wrong) < divergence - 1e-4


def test_known_values() -> None:
    """Jensen-Shannon's row is twice the divergence; alpha's limits are the two KLs; the sum of these is Jeffrey."""
    u = torch.tensor([0.2, 3.0], dtype=torch.float64)
    js = 0.5 * (u * (2 * u / (1 + u)).log() + (2 / (1 + u)).log())
    assert torch.allclose(fd.jensen_shannon().f(u), 2 * js)
    assert torch.allclose(fd.kl().f(u) + fd.reverse_kl().f(u), fd.jeffrey().f(u))
    assert torch.allclose(fd.alpha_divergence(1 + 1e-7).f(u), u * u.log() - u + 1, rtol=1e-5)
    assert torch.allclose(fd.alpha_divergence(1e-7).f(u), -u.log() + u - 1, rtol=1e-5)
    assert torch.allclose(fd.alpha_divergence(2.0).f(u), fd.pearson().f(u) / 2)
    with pytest.raises(ValueError, match="limits"):
        fd.alpha_divergence(1.0)


def test_soft_clip_keeps_every_row_finite() -> None:
    v = fd.soft_clip(torch.tensor([-1e4, -3.0, 0.0, 1e4]), 8)
    assert v.abs().max() <= 8
    for row in ROWS.values():
        assert torch.isfinite(row.link(v)).all()
        assert torch.isfinite(row.conjugate_link(v)).all()


def test_gan_is_the_gan() -> None:
    """The row and Goodfellow's own objective are the same function."""
    from gan_core.objectives import adversarial

    real, fake = torch.randn(50), torch.randn(40)
    mine, his = fd.discriminator(fd.gan(), real, fake), adversarial.discriminator(real, fake)
    assert sum(mine.values()) == pytest.approx(sum(his.values()))
    pairs = [
        (fd.generator_exact, adversarial.generator_saturating),
        (fd.generator_non_saturating, adversarial.generator_non_saturating),
    ]
    for mine_g, his_g in pairs:
        assert mine_g(fd.gan(), fake)["generator"].item() == pytest.approx(his_g(fake)["generator"].item())
