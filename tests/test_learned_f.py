"""The learned f: an f-divergence whatever its weights are, and the one it is told to start at."""

import pytest
import torch

from gan_core.core.artifact import load, save
from gan_core.core.build_network import build_network
from gan_core.networks import curvature
from gan_core.objectives.f_divergence import alpha_divergence, kl, reverse_kl
from gan_core.runtime.errors import InputError

FORMS = ("neural", "mixture")


def made(form: str, start: float = 0.5, low: float = -1.0, high: float = 2.0) -> curvature.Curvature:
    return build_network(curvature.config(form, start, low, high))


def random(form: str, seed: int) -> curvature.Curvature:
    torch.manual_seed(seed)
    f = made(form)
    with torch.no_grad():
        for p in f.parameters():
            p.copy_(torch.randn_like(p) * 2)
    return f.double()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("form", FORMS)
def test_it_is_an_f_whatever_the_weights_are(form: str, seed: int) -> None:
    """Convex, f(1) = 0, f'(1) = 0, f''(1) = 1, nowhere negative: L1."""
    f = random(form, seed)
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    assert f.f(zero.exp()).abs().item() < 1e-9
    assert f.link(zero).abs().item() < 1e-9
    (slope,) = torch.autograd.grad(f.link(zero).sum(), zero)
    assert slope.item() == pytest.approx(1, abs=1e-6), "kappa(0) = f''(1) = 1"
    v = torch.linspace(-7.9, 7.9, 3001, dtype=torch.float64)
    t = f.link(v)
    assert (t.diff() > 0).all(), "f' increases: f is convex"
    assert (f.f(v.exp()) >= -1e-6).all(), "so f lies above its tangent at 1"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_link_and_conjugate_link_belong_together(form: str, seed: int) -> None:
    """d f*(T(v)) / dv = e^v dT/dv, and their difference is u f' - f."""
    f = random(form, seed)
    v = torch.linspace(-6, 6, 401, dtype=torch.float64, requires_grad=True)
    (dt,) = torch.autograd.grad(f.link(v).sum(), v)
    (dfs,) = torch.autograd.grad(f.conjugate_link(v).sum(), v)
    assert torch.allclose(dfs, v.exp() * dt, rtol=2e-3)
    (df,) = torch.autograd.grad(f.f(u := v.detach().exp().requires_grad_()).sum(), u)
    assert torch.allclose(df, f.link(v), rtol=5e-3, atol=1e-3), "the slope of f is T"


def test_a_neural_f_integrates_once_for_both_links(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    table = curvature.Neural.table
    monkeypatch.setattr(curvature.Neural, "table", lambda self: (asked.append(1), table(self))[1])
    f = made("neural")
    f.f(torch.tensor([0.5, 2.0]))
    assert len(asked) == 1
    v = torch.linspace(-3, 3, 7)
    assert all(torch.equal(a, b) for a, b in zip(f.links(v), (f.link(v), f.conjugate_link(v)), strict=True))


@pytest.mark.parametrize("alpha", [-0.5, 0.25, 0.5, 1.5])
def test_the_neural_form_starts_at_an_alpha_divergence(alpha: float) -> None:
    f = made("neural", alpha)
    with torch.no_grad():
        f.body[-1].weight.zero_()
    row, v = alpha_divergence(alpha), torch.linspace(-5, 5, 101)
    assert torch.allclose(f(v[:, None]), torch.full((101, 1), alpha), atol=1e-5)
    assert torch.allclose(f.link(v), row.link(v), rtol=1e-3, atol=1e-4)
    assert torch.allclose(f.conjugate_link(v), row.conjugate_link(v), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("place", "row"), [(6, kl()), (2, reverse_kl())], ids=["kl", "reverse_kl"])
def test_a_mixture_of_one_is_that_divergence(place: int, row) -> None:
    """Up to the affine gauge: c (u - 1) changes no divergence, and shifts T by c and f* of T by c."""
    f = made("mixture")
    with torch.no_grad():
        f.logits.fill_(-1e4)
        f.logits[place] = 0
    v = torch.linspace(-3, 3, 61)
    gauge = row.link(torch.zeros(1))
    assert torch.allclose(f.link(v), row.link(v) - gauge, atol=1e-4)
    assert torch.allclose(f.conjugate_link(v), row.conjugate_link(v) - row.conjugate_link(torch.zeros(1)), atol=1e-4)
    assert torch.allclose(f(v[:, None]), torch.full((61, 1), f.orders[place].item()), atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_it_can_be_learned(form: str) -> None:
    """Every weight has a gradient through both links."""
    f = made(form)
    (f.link(torch.tensor([2.0, -1.0])).sum() - f.conjugate_link(torch.tensor([1.5, -2.0])).sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in f.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_it_is_kept_with_its_bounds(form: str, tmp_path) -> None:
    f = made(form, 0.3, -0.5, 1.5)
    save(tmp_path / "f.safetensors", f, f.config, {})
    v = torch.linspace(-4, 4, 17)[:, None]
    assert torch.equal(load(tmp_path / "f.safetensors").network(v), f(v))


@pytest.mark.parametrize("start", [-1.0, 2.0, 5.0])
def test_a_start_beyond_the_bounds_is_said(start: float) -> None:
    with pytest.raises(InputError, match=r"settings.start is \S+; it must lie between lowest \(-1.0\)"):
        made("neural", start)
