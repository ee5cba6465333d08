"""Objectives and penalties against closed forms."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from gan_core.core.build_game import build_game
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Moment
from gan_core.objectives import adversarial, f_divergence, penalties, two_sample, variational
from gan_core.objectives.contrastive import patch_nce
from gan_core.objectives.packing import packed
from gan_core.objectives.two_sample import energy_distance
from gan_core.runtime.errors import InputError

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


@pytest.mark.parametrize("v", [-5.0, -0.5, 0.0, 0.5, 5.0])
@pytest.mark.parametrize("name", [name for name in adversarial.OBJECTIVES if name != "least_squares"])
def test_every_generator_objective_pushes_the_score_up(name: str, v: float) -> None:
    score, objective = torch.tensor([v], requires_grad=True), adversarial.OBJECTIVES[name]
    objective.generator(score, *([torch.zeros(1)] if objective.needs_real else []))["generator"].backward()
    assert score.grad is not None
    assert score.grad.item() < 0


@pytest.mark.parametrize("v", [-3.0, 0.0, 3.0])
def test_least_squares_pulls_the_score_to_one(v: float) -> None:
    score = torch.tensor([v], requires_grad=True)
    adversarial.generator_least_squares(score)["generator"].backward()
    assert score.grad is not None
    assert score.grad.item() == pytest.approx(v - 1)


COLUMN, ROW = torch.zeros(5, 1), torch.zeros(5)


@pytest.mark.parametrize(
    "objective",
    [
        *(o.discriminator for o in adversarial.OBJECTIVES.values()),
        *(o.generator for o in adversarial.OBJECTIVES.values() if o.needs_real),
        adversarial.critic,
        partial(f_divergence.discriminator, f_divergence.DIVERGENCES["kl"]()),
        two_sample.energy_distance,
        variational.kl,
        variational.reparametrised,
        variational.gaussian,
        variational.bernoulli,
    ],
)
def test_shapes_that_would_broadcast_are_refused(objective: Callable[..., object]) -> None:
    """(N, 1) beside (N,) is (N, N) to torch: a mean over pairs that nobody asked for."""
    for wrong in ((COLUMN, ROW), (ROW, COLUMN)):
        with pytest.raises(ValueError, match=r"given shapes \(5,"):
            objective(*wrong)


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


@pytest.mark.parametrize("line", [nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(3.0), nn.Softplus(), nn.ELU()])
def test_penalty_is_differentiated_as_torch_does_it_but_without_its_zeros(line: nn.Module) -> None:
    """The same number and gradient to the bit; a straight line has no second derivative, so none is computed."""
    critic = nn.Sequential(nn.Linear(6, 16), line, nn.Linear(16, 16), line, nn.Linear(16, 1), nn.Flatten(0))
    weights = list(critic.parameters())[::2]
    x = torch.randn(32, 6)
    mine = penalties.r1(critic, x, 1.0)[1]["r1"]
    x.requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    plain = slope.square().sum(1).mean() / 2
    assert torch.equal(mine, plain)
    pairs = zip(torch.autograd.grad(mine, weights, retain_graph=True), torch.autograd.grad(plain, weights), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    (bias,) = torch.autograd.grad(mine, critic[0].bias, allow_unused=True)
    assert (bias is None) == (isinstance(line, nn.ReLU) or getattr(line, "negative_slope", 9) <= 1)


def test_r1_of_a_linear_discriminator() -> None:
    """1/2 |w|^2 gamma, beside the scores that the discriminator gives; with gamma 0, these alone."""
    critic, x = Linear(6, 3.0), torch.randn(5, 6)
    for penalty, name in ((penalties.r1, "r1"), (penalties.r2, "r2")):
        v, terms = penalty(critic, x, 2.0)
        assert torch.equal(v, critic(x))
        assert terms.keys() == {name}
        assert terms[name].item() == pytest.approx(9.0)
        assert penalty(critic, x, 0.0)[1] == {}


def test_scores_and_penalties_take_one_pass() -> None:
    """R1 and R2 beside both scores: the discriminator is called twice, not four times."""
    game = build_game("gan", NetworkSpec("mlp", 8, 4, (2,)), {"objective": "relativistic", "r1": 1.0, "r2": 1.0})
    calls: list[int] = []
    game.discriminator.register_forward_hook(lambda *_: calls.append(1))
    terms = game.discriminator_loss(Batch(torch.randn(6, 2)), Moment()).terms
    assert terms.keys() == {"discriminator", "r1", "r2"}
    assert len(calls) == 2


@pytest.mark.parametrize("penalised", [False, True])
def test_dirac_gan(penalised: bool) -> None:
    """Mescheder et al. 2018: simultaneous gradient steps leave the Dirac-GAN's equilibrium, with R1 they reach it."""
    theta, psi = 1.0, 1.0
    for _ in range(2000):
        t, p = torch.tensor([theta], requires_grad=True), torch.tensor([psi], requires_grad=True)
        d = sum(adversarial.discriminator(torch.zeros(1), (p * t.detach())).values())
        if penalised:
            d = d + penalties.r1(lambda x, p=p: p * x.flatten(), torch.zeros(1, 1), 1.0)[1]["r1"]
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


@pytest.mark.parametrize("slope", [0.5, 1.0, 3.0])
def test_dragan_wants_slope_one_around_the_data(slope: float) -> None:
    assert penalties.dragan(Linear(6, slope), torch.randn(32, 6)).item() == pytest.approx((slope - 1) ** 2, abs=1e-5)


def test_dragan_looks_beside_the_data_not_at_it() -> None:
    """Within half a standard deviation, to one side."""
    seen: list[torch.Tensor] = []

    def watch(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    x = torch.randn(2000, 64) * 2
    penalties.dragan(watch, x)
    off = (seen[0] - x) / x.std()
    assert -1e-6 <= off.min() < 0.01
    assert 0.47 < off.max() <= 0.5001
    reach = off.max(1).values * 2
    assert reach.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.05), (
        "a factor for each sample, uniform, on top of the noise"
    )


def test_penalties_see_a_pack_as_one_sample() -> None:
    """PacGAN: a score belongs to a pack, so the gradient's norm is over the pack. |w|^2 / 2 for v = <w, pack>."""
    wide, x = Linear(12, 3.0), torch.randn(8, 6)
    assert penalties.r1(lambda x: wide(packed(x, 2)), x, 1.0)[1]["r1"].item() == pytest.approx(4.5)
    assert penalties.dragan(lambda x: wide(packed(x, 2)), x).item() == pytest.approx(4.0)


def test_a_patch_score_counts_once_for_its_sample() -> None:
    """Scores (N, patches): their sum over a sample is what is differentiated."""
    w = torch.randn(6, 4)
    found = penalties.r1(lambda x: x @ w, torch.randn(5, 6), 1.0)[1]["r1"].item()
    assert found == pytest.approx(w.sum(1).square().sum().item() / 2)


def test_kl_is_torchs() -> None:
    mean, log_variance = torch.randn(64, 5), torch.randn(64, 5)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert variational.kl(mean, log_variance).item() == pytest.approx(expected.item(), rel=1e-5)
    assert variational.kl(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0


@pytest.mark.parametrize("variance", [0.1, 0.5, 1.0])
def test_likelihoods_are_torchs(variance: float) -> None:
    x, mean = torch.rand(32, 1, 4, 4) * 2 - 1, torch.rand(32, 1, 4, 4) * 2 - 1
    normal = torch.distributions.Normal(mean, variance**0.5)
    expected = -normal.log_prob(x).flatten(1).sum(1).mean()
    assert variational.gaussian(x, mean, variance).item() == pytest.approx(expected.item(), rel=1e-5)
    bits = (x > 0).float() * 2 - 1
    expected = -torch.distributions.Bernoulli((mean + 1) / 2).log_prob((bits + 1) / 2).flatten(1).sum(1).mean()
    assert variational.bernoulli(bits, mean).item() == pytest.approx(expected.item(), rel=1e-4)


def test_reparametrised_samples_have_the_moments_and_the_gradients() -> None:
    mean, log_variance = torch.full((100_000, 1), 0.7, requires_grad=True), torch.full((100_000, 1), -1.0)
    z = variational.reparametrised(mean, log_variance)
    assert z.mean().item() == pytest.approx(0.7, abs=0.01)
    assert z.var().item() == pytest.approx(math.exp(-1), rel=0.02)
    z.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))


def test_the_bound_is_a_bound() -> None:
    """On a linear-Gaussian model: ELBO <= IWAE with 50 samples <= log p(x), and all meet at the true posterior."""
    w, variance, x = torch.tensor([[1.5], [-0.5]]), 0.3, torch.randn(1, 2)
    covariance = w @ w.T + variance * torch.eye(2)
    exact = torch.distributions.MultivariateNormal(torch.zeros(2), covariance).log_prob(x).item()
    precision = 1 + (w.T @ w / variance).item()
    posterior = ((x @ w) / variance / precision, torch.full((1, 1), -math.log(precision)))
    wrong = (posterior[0] + 0.5, posterior[1] + 1)
    torch.manual_seed(3)

    def weights(mean: torch.Tensor, log_variance: torch.Tensor, n: int) -> torch.Tensor:
        z = variational.reparametrised(mean.expand(n, 1), log_variance.expand(n, 1))
        likelihood = torch.distributions.Normal(z @ w.T, variance**0.5).log_prob(x).sum(1)
        q = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z).squeeze(1)
        return likelihood + torch.distributions.Normal(0.0, 1.0).log_prob(z).squeeze(1) - q

    assert weights(*posterior, 1000).std() < 1e-4, "at the posterior every weight is the evidence"
    n = 20_000
    z = variational.reparametrised(wrong[0].expand(n, 1), wrong[1].expand(n, 1))
    elbo = -(variational.gaussian(x.expand(n, 2), z @ w.T, variance) + variational.kl(*wrong)).item()
    iwae = (weights(*wrong, n).reshape(-1, 50).logsumexp(1) - math.log(50)).mean().item()
    assert elbo < iwae < exact + 0.005
    assert iwae - elbo > 0.1


def test_a_code_never_pays_less_than_its_constant() -> None:
    """With deviation 1 the loss is 1/2 (c - m)^2 + 1/2 log 2 pi: mutual information is bounded below zero, by law."""
    c = torch.rand(1000, 2) * 2 - 1
    assert variational.gaussian_code(c, c).item() == pytest.approx(math.log(2 * math.pi), rel=1e-6)
    learned = variational.gaussian_code(c, torch.cat([c, torch.full_like(c, -9.0)], 1)).item()
    assert learned == pytest.approx(2 * (-3 + math.log(2 * math.pi) / 2), rel=1e-5), "kept above e^-3"


def test_energy_distance_of_gaussians() -> None:
    """Between N(0, 1) and N(m, 1) in one dimension, by its closed form; unbiased at zero; finite gradients."""
    x, y = torch.randn(3000, 1), torch.randn(3000, 1) + 1.0
    phi = math.exp(-0.25) / math.sqrt(math.pi)
    apart = 2 * (2 * phi + math.erf(0.5)) / 1 - 4 / math.sqrt(math.pi)
    assert energy_distance(x, y).item() == pytest.approx(apart, abs=0.05)
    small = [energy_distance(torch.randn(8, 2), torch.randn(8, 2)).item() for _ in range(400)]
    assert sum(small) / 400 == pytest.approx(0, abs=3 * torch.tensor(small).std().item() / 20)
    same = torch.zeros(5, 2, requires_grad=True)
    energy_distance(same, torch.zeros(5, 2)).backward()
    assert torch.isfinite(same.grad).all()


def test_a_pack_holds_whole_samples_side_by_side() -> None:
    x = torch.arange(12.0).reshape(4, 3)
    assert packed(x, 2).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert packed(torch.zeros(6, 1, 8, 8), 3).shape == (2, 3, 8, 8)
    with pytest.raises(InputError, match=r"settings.pack 3 does not divide train.batch_size 4"):
        packed(x, 3)


def test_patch_nce_in_closed_form() -> None:
    """CUT, eq. 3: log P where places are alike, 0 where each is like its own alone; constants get no gradient."""
    alike = torch.nn.functional.normalize(torch.ones(2, 7, 16), dim=2)
    assert patch_nce(alike, alike, 0.07).item() == pytest.approx(math.log(7), rel=1e-6)
    apart = torch.eye(16)[:7].expand(2, -1, -1)
    assert patch_nce(apart, apart, 0.07).item() == pytest.approx(math.log(1 + 6 * math.exp(-1 / 0.07)), abs=1e-6)
    torch.manual_seed(0)
    q, k = (torch.nn.functional.normalize(torch.randn(2, 7, 16), dim=2).requires_grad_() for _ in range(2))
    whole = patch_nce(q, k, 0.07)
    assert whole.item() == pytest.approx((patch_nce(q[:1], k[:1], 0.07) + patch_nce(q[1:], k[1:], 0.07)).item() / 2)
    whole.backward()
    assert k.grad is None
    assert q.grad.abs().sum() > 0
