"""The evidence lower bound of Kingma & Welling 2014, term by term: sums over dimensions, means over the batch."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, pi

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy

from gan_core.core.types import Sample, Terms
from gan_core.objectives.adversarial import same_form


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) = 1/2 sum(mean^2 + variance - 1 - log variance). Appendix B."""
    same_form(mean, log_variance, pairs=True)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2


def reparametrised(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A sample of N(mean, variance), differentiable in both. Section 2.4."""
    same_form(mean, log_variance, pairs=True)
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def gaussian(x: Tensor, mean: Tensor, variance: float = 1.0) -> Tensor:
    """-log N(x; mean, variance I), all of it, so that variances can be compared."""
    same_form(x, mean, pairs=True)
    squared = (x - mean).flatten(1).square().sum(1).mean()
    return squared / (2 * variance) + log(2 * pi * variance) / 2 * mean[0].numel()


def gaussian_code(c: Tensor, q: Tensor) -> Tensor:
    """-log N(c; mean, deviation^2). ``q``: the mean, deviation 1; or mean and log-deviation side by side.

    With deviation 1 it is never below log(2 pi) / 2 a coordinate. A learned one is kept within e^-3 and e.
    """
    mean, rest = q[:, : c.shape[1]], q[:, c.shape[1] :]
    same_form(c, mean, pairs=True)
    log_deviation = rest.clamp(-3, 1) if rest.shape[1] else torch.zeros_like(mean)
    standard = (c - mean) / log_deviation.exp()
    return (standard.square() / 2 + log_deviation + log(2 * pi) / 2).sum(1).mean()


def codes(c: Mapping[str, Tensor], q: Tensor, categories: int) -> Terms:
    """-E log Q(c|x): of a ``category`` by the first columns of ``q``, its logits, and of a ``code`` by the others."""
    terms: Terms = {}
    if "category" in c:
        terms["category"] = cross_entropy(q[:, :categories], c["category"])
    if "code" in c:
        terms["code"] = gaussian_code(c["code"], q[:, categories:])
    return terms


def bernoulli(x: Sample, mean: Sample) -> Tensor:
    """-log Bernoulli(x; mean), both taken from [-1, 1] to [0, 1]. Appendix C.1."""
    same_form(x, mean, pairs=True)
    target, probability = ((t.clamp(-1, 1) + 1) / 2 for t in (x, mean))
    with torch.autocast("cuda", enabled=False):  # which refuses it, of probabilities
        return binary_cross_entropy(probability, target, reduction="none").flatten(1).sum(1).mean()


LIKELIHOODS = {"gaussian": gaussian, "bernoulli": lambda x, mean, _variance: bernoulli(x, mean)}
"""-log p(x|z) by name: of the sample, of the decoder's output, with a variance where there is one."""
