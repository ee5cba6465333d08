"""Objectives and penalties against closed forms."""

import math

import pytest
import torch
from torch import nn

from gan_core.objectives import adversarial, penalties

LOG2 = math.log(2)


def test_discriminator_optimum_gives_the_jensen_shannon_divergence() -> None:
    """At v* = log p/q the loss is 2 log 2 - 2 JSD (Goodfellow 2014, eq. 4-6), here by exact sums over 5 atoms."""
    p, q = torch.tensor([0.1, 0.4, 0.2, 0.2, 0.1]), torch.tensor([0.3, 0.1, 0.1, 0.2, 0.3])
    v = (p / q).log()
    m = (p + q) / 2
    jsd = 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    loss = (p * nn.functional.softplus(-v)).sum() + (q * nn.functional.softplus(v)).sum()
    assert loss == pytest.approx((2 * LOG2 - 2 * jsd).item(), abs=1e-6)
    n = 100_000
    real, fake = v[torch.multinomial(p, n, True)], v[torch.multinomial(q, n, True)]
    assert sum(adversarial.discriminator(real, fake).values()).item() == pytest.approx(loss.item(), abs=0.02)


def test_a_blind_discriminator_pays_two_log_two() -> None:
    terms = adversarial.discriminator(torch.zeros(7), torch.zeros(3))
    assert sum(terms.values()).item() == pytest.approx(2 * LOG2)


@pytest.mark.parametrize("v", [-30.0, -3.0, 0.0, 3.0, 30.0])
def test_both_generator_objectives_push_the_score_up(v: float) -> None:
    for objective in (
        adversarial.generator_saturating,
        adversarial.generator_non_saturating,
        adversarial.generator_wasserstein,
    ):
        score = torch.tensor([v], requires_grad=True)
        objective(score)["generator"].backward()
        assert score.grad is not None
        assert score.grad.item() <= 0


def test_saturation_is_what_the_other_form_mends() -> None:
    """Where D is sure a sample is fake (v = -20), only the non-saturating gradient is left (section 3)."""
    gradients = []
    for objective in (adversarial.generator_saturating, adversarial.generator_non_saturating):
        score = torch.tensor([-20.0], requires_grad=True)
        objective(score)["generator"].backward()
        gradients.append(abs(score.grad.item()))
    assert gradients[0] < 1e-8 < 0.99 < gradients[1]


class Linear(nn.Module):
    """v(x) = slope <u, x> with a unit vector u: exactly slope-Lipschitz."""

    def __init__(self, size: int, slope: float) -> None:
        super().__init__()
        u = torch.randn(size)
        self.w = nn.Parameter(slope * u / u.norm())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w


@pytest.mark.parametrize("shape", [(2,), (3, 8, 8)])
@pytest.mark.parametrize("n", [1, 2, 64])
@pytest.mark.parametrize("slope", [1.0, 0.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(shape: tuple[int, ...], n: int, slope: float) -> None:
    """(slope - 1)^2, whatever the batch size: a norm over the whole batch or per pixel would give something else."""
    critic = Linear(math.prod(shape), slope)
    penalty = penalties.gradient_penalty(critic, torch.randn(n, *shape), torch.randn(n, *shape))
    assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-5)


def test_gradient_penalty_interpolates_each_sample_by_itself() -> None:
    """For v = |x|^2/2 the gradient is x^, so its norms show where each sample was taken."""

    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square().sum(1) / 2

    n = 4000
    penalty = penalties.gradient_penalty(Square(), torch.ones(n, 1) * 3, torch.ones(n, 1))  # |x^| ~ U[1, 3]
    assert penalty.item() == pytest.approx(4 / 3, rel=0.05)  # E (U - 1)^2 over [1, 3]


def test_the_second_derivative_is_finite_where_the_gradient_vanishes() -> None:
    critic = Linear(4, 0.0)
    penalties.gradient_penalty(critic, torch.randn(8, 4), torch.randn(8, 4)).backward()
    assert torch.isfinite(critic.w.grad).all()


def test_r1_of_a_linear_discriminator() -> None:
    assert penalties.r1(Linear(6, 3.0), torch.randn(5, 6)).item() == pytest.approx(4.5)


@pytest.mark.parametrize("penalised", [False, True])
def test_dirac_gan(penalised: bool) -> None:
    """Mescheder et al. 2018: simultaneous gradient steps leave the Dirac-GAN's equilibrium, with R1 they reach it."""
    theta, psi = 1.0, 1.0
    for _ in range(2000):
        t, p = torch.tensor([theta], requires_grad=True), torch.tensor([psi], requires_grad=True)
        d = sum(adversarial.discriminator(torch.zeros(1), (p * t.detach())).values())
        if penalised:
            d = d + penalties.r1(lambda x, p=p: p * x.flatten(), torch.zeros(1, 1))
        (dp,) = torch.autograd.grad(d, p)
        (dt,) = torch.autograd.grad(adversarial.generator_saturating(p.detach() * t)["generator"], t)
        theta, psi = theta - 0.1 * dt.item(), psi - 0.1 * dp.item()
    radius = math.hypot(theta, psi)
    assert radius < 1e-6 if penalised else radius > 1.4


def test_least_squares_optimum() -> None:
    """For fixed p and q the best v is p / (p + q) (Mao et al. 2017, eq. 4 with a = 0, b = 1)."""
    p, q = torch.tensor([0.1, 0.4, 0.5]), torch.tensor([0.3, 0.3, 0.4])
    v = (p / (p + q)).requires_grad_()
    loss = (p * (v - 1).square()).sum() / 2 + (q * v.square()).sum() / 2
    assert torch.autograd.grad(loss, v)[0].abs().max() < 1e-7
    terms = adversarial.discriminator_least_squares(torch.tensor([3.0]), torch.tensor([2.0]))
    assert (terms["real"], terms["fake"]) == (2.0, 2.0)
    assert adversarial.generator_least_squares(torch.tensor([1.0, 3.0]))["generator"] == 1.0


def test_hinge_lets_go_beyond_the_margin() -> None:
    v = torch.tensor([2.0, 0.5], requires_grad=True)
    sum(adversarial.discriminator_hinge(v, -v).values()).backward()
    assert v.grad.tolist() == [0, -1.0]


def test_relativistic_looks_at_differences_only() -> None:
    real, fake = torch.randn(9), torch.randn(9)
    d, g = adversarial.discriminator_relativistic, adversarial.generator_relativistic
    assert torch.allclose(d(real, fake)["discriminator"], d(real + 5, fake + 5)["discriminator"])
    assert torch.allclose(g(fake, real)["generator"], d(fake, real)["discriminator"]), "the same game, roles exchanged"
    assert d(real, real)["discriminator"].item() == pytest.approx(LOG2)


def test_r2_is_r1_on_the_other_side() -> None:
    critic = Linear(6, 3.0)
    assert penalties.r2(critic, torch.randn(5, 6)).item() == pytest.approx(4.5)
