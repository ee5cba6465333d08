"""Penalties on the input gradient of a discriminator. Norms are per sample (or pack), over every other dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, relu
from torch.overrides import TorchFunctionMode

from gan_core.core.schedule import Schedule
from gan_core.core.types import Moment, Sample, Score, Terms


class Straight(TorchFunctionMode):
    """Inside it, ReLU and LeakyReLU are products of their input with a slope that is a constant to autograd.

    The same numbers. But the second derivative of a straight line is zero, which torch does not know: where a gradient
    is differentiated it sends these zeros back through the whole discriminator.
    """

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Any function of torch that is called inside."""
        kwargs = kwargs or {}
        if function is relu:
            return straight(args[0], 0.0)
        if function is leaky_relu and 0 <= (slope := kwargs["negative_slope"]) <= 1:
            return straight(args[0], slope)
        return function(*args, **kwargs)


def straight(x: Tensor, slope: float) -> Tensor:
    """X where it is positive, ``slope`` (0 to 1) times x elsewhere."""
    return x * x.detach().sign().clamp_(min=slope)


def with_squared_gradient_norm(discriminator: Callable[[Sample], Score], x: Sample) -> tuple[Score, Tensor]:
    """V and, of the same pass, ||grad v||^2 in all that a row of scores has seen, a sample or a pack of them: (rows,).

    Both are differentiable again; samples are constants.
    """
    x = x.detach().requires_grad_()
    with Straight():
        v = discriminator(x)
    (gradient,) = torch.autograd.grad(v.sum(), x, create_graph=True)
    return v, gradient.reshape(len(v), -1).square().sum(1)


def gradient_penalty(critic: Callable[[Sample], Score], real: Sample, fake: Sample) -> Tensor:
    """E (||grad v(x^)||_2 - 1)^2 with x^ = e x + (1 - e) G(z), e ~ U[0, 1] for each sample.

    Gulrajani et al. 2017, eq. 3. Zero for a critic of slope one, whatever the batch size. The 1e-12 under the
    root keeps the second derivative finite where the gradient vanishes.
    """
    e = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    norm = (with_squared_gradient_norm(critic, e * real + (1 - e) * fake)[1] + 1e-12).sqrt()
    return (norm - 1).square().mean()


def dragan(discriminator: Callable[[Sample], Score], real: Sample) -> Tensor:
    """E (||grad v(x + a d)||_2 - 1)^2 around the data. Kodali et al. 2017, as their code, not their eq. 6, has it.

    d = 1/2 std(x) U[0, 1] for each coordinate (the equation: a Gaussian), and a ~ U[0, 1] for each sample: a point
    between a sample and a perturbed copy of it.
    """
    return gradient_penalty(discriminator, real + real.std() / 2 * torch.rand_like(real), real)


def r1(discriminator: Callable[[Sample], Score], real: Sample, gamma: float) -> tuple[Score, Terms]:
    """v(x) on real samples and, of the same pass, gamma/2 E ||grad v(x)||^2. Mescheder et al. 2018, eq. 9."""
    return penalised(discriminator, real, "r1", gamma)


def r2(discriminator: Callable[[Sample], Score], fake: Sample, gamma: float) -> tuple[Score, Terms]:
    """v(G(z)) on generated samples and, of the same pass, gamma/2 E ||grad v(G(z))||^2. Mescheder et al., eq. 10."""
    return penalised(discriminator, fake, "r2", gamma)


def penalised(discriminator: Callable[[Sample], Score], x: Sample, name: str, gamma: float) -> tuple[Score, Terms]:
    """Scores, and the penalty under a name; with gamma 0, none."""
    if not gamma:
        return discriminator(x), {}
    v, norm = with_squared_gradient_norm(discriminator, x)
    return v, {name: gamma * norm.mean() / 2}


def lazy(at: Moment, gamma: float | Schedule[float], every: int) -> float:
    """The weight of a penalty that is computed every so many steps, and weighs as much more: 0 at the others.

    Lazy regularisation, Karras et al. 2020 (arXiv 1912.04958), appendix B, without its correction of Adam's rates.
    """
    if every == 1:
        return at.value(gamma)
    return 0.0 if at.step % every else at.value(gamma) * every
