"""What is measured of one shipped network: its samples, and what it makes of a sample together with its counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.core.artifact import Artifact
from gan_core.core.inputs import LATENT
from gan_core.core.samples import Chosen, Sample, Samples, alike
from gan_core.metrics.batching import in_batches, rows_at_once
from gan_core.metrics.drawn import counterpart
from gan_core.metrics.measure import Found, Reference, measure
from gan_core.metrics.recognition import class_kept
from gan_core.metrics.similarity import SMALLEST, psnr, ssim
from gan_core.networks.efficientnet_lite0 import lite0, perceptual_distance

Figure = tuple[str, float]
"""A measure and its value."""


def figures(
    role: str,
    trained: Mapping[str, Artifact],
    spaces: Mapping[str, Reference],
    inputs: Mapping[str, Samples],
    fake: Samples,
) -> Found:
    """Every measure of a role that draws samples; ``fake`` is what it made of ``inputs``, ``trained`` all roles."""
    config = trained[role].config
    given = {i.prior: inputs[i.name] for i in config.inputs}
    found = measure(spaces[config.output_space], fake, given)
    target = spaces[config.output_space]
    if LATENT in given:
        beside_truth(found, target, {"": fake})
        found.figures |= dict(of_latents(given[LATENT], trained[role].network))
    for source in given.keys() & {"x", "x_b"}:
        if target.domain.index.get("aligned"):
            beside_truth(found, target, {"": fake, "_of_source": given[source]})
        if source in spaces:
            found.figures |= dict(translation(source, given[source], config.output_space, fake, spaces))
        if back := counterpart(trained, takes=config.output_space, makes=source):

            def off(y: Sample, x: Sample, network: Any = back.network) -> Tensor:
                return cast(Tensor, (network(y) - x).abs().flatten(1).mean(1))

            found.figures["cycle_l1"] = float(in_batches(off, fake, given[source]).mean())
    return found


def reconstruction(role: str, trained: Mapping[str, Artifact], real: Reference, x: Samples) -> Iterator[Figure]:
    """Of a decoder with an encoder beside it: what becomes of samples that go through both."""
    encoder = counterpart(trained, takes="x", makes="latent")
    if encoder and [i.name for i in trained[role].config.inputs] == [encoder.config.output_name]:
        error, before, after, each = 0.0, [], [], rows_at_once(x.shape[1:])
        for k in range(0, len(x), each):
            some = x[k : k + each]
            y = in_batches(trained[role].network, in_batches(encoder.network, some), rows=each)
            error += float((y - some).square().mean()) * len(some)
            if real.classifier is not None:
                before.append(real.logits(some))
                after.append(real.logits(y))
        yield "reconstruction_mse", error / len(x)
        if before:
            yield "reconstruction_class_kept", class_kept(np.concatenate(before), np.concatenate(after))


def translation(source: str, x: Samples, target: str, y: Samples, spaces: Mapping[str, Reference]) -> Iterator[Figure]:
    """Of samples of one domain and what became of them in the other: the class kept, and the true map if known."""
    if spaces[source].classifier is not None:
        yield "class_kept", class_kept(spaces[source].logits(x), spaces[target].logits(y))
    if truth := spaces[source].domain.index.get("translation"):
        yield "translation_r2", r_squared(y, x, lambda some: mapped(some, truth, inverse=source == "x_b"))


def of_latents(z: Samples, decoder: nn.Module) -> Iterator[Figure]:
    """Mean and deviation of all numbers of latents and 1 / deviation, by which latent diffusion multiplies them.

    Of a decoder with a codebook, the share of the codes that are used too, and exp of their frequencies' entropy.
    """

    def moments(some: Tensor) -> Tensor:
        flat = some.double().flatten(1)
        return torch.stack([flat.mean(1), flat.square().mean(1)], 1)

    mean, square = in_batches(moments, z).mean(0).tolist()
    deviation = (square - mean**2) ** 0.5
    yield from (("latent_mean", mean), ("latent_std", deviation), ("latent_scale", 1 / deviation))
    if codebook := getattr(decoder, "codebook", None):
        ids = in_batches(lambda some: codebook(some)[1], z)
        counts = torch.bincount(ids.flatten(), minlength=len(codebook.weight))
        yield "codes_used", float((counts > 0).double().mean())
        share = counts[counts > 0] / counts.sum()
        yield "code_perplexity", float((-(share * share.log()).sum()).exp())


def beside_truth(found: Found, target: Reference, kinds: Mapping[str, Samples]) -> None:
    """What is made of held-out samples, row by row beside what it should be; ``kinds``: by the suffix of the figures.

    Of translators that is the target, and what the sources themselves score, smaller ones enlarged by bicubic
    interpolation; of reconstructions the sample itself. In Lite0's features there is a perceptual distance too.
    """

    def enlarged(measure_of: Callable[[Sample, Sample], Tensor], x: Sample, truth: Sample) -> Tensor:
        larger = x if x.shape == truth.shape else alike(x, truth.shape[2:], "bicubic").clamp(-1, 1)
        return measure_of(larger, truth)

    fake = kinds[""]
    truth = Chosen(target.domain.samples("heldout"), torch.arange(len(fake)))
    measures: dict[str, Callable[[Sample, Sample], Tensor]] = {"l1": l1, "psnr": psnr}
    if min(fake.shape[2:]) >= SMALLEST:
        measures["ssim"] = ssim
    if target.network.name == "lite0":
        measures["perceptual"] = lambda a, b: perceptual_distance(lite0().levels(a), lite0().levels(b))
    for name, measure_of in measures.items():
        for suffix, x in kinds.items():
            found.mean(f"{name}{suffix}", in_batches(partial(enlarged, measure_of), x, truth).numpy())


def l1(a: Sample, b: Sample) -> Tensor:
    """Mean absolute difference of images in [-1, 1], (N,)."""
    return (a - b).abs().flatten(1).mean(1)


def mapped(x: Sample, truth: Mapping[str, Any], inverse: bool) -> Sample:
    """T(x) = M x + c of every pixel, or its inverse."""
    matrix, offset = np.array(truth["matrix"]), np.array(truth["offset"])
    if inverse:
        matrix = np.linalg.inv(matrix)
        offset = -matrix @ offset
    moved = torch.einsum("dc,nchw->ndhw", torch.from_numpy(matrix), x.double())
    return (moved + torch.from_numpy(offset)[:, None, None]).float()


def r_squared(y: Samples, x: Samples, truth: Callable[[Sample], Sample]) -> float:
    """1 - E|y - T(x)|^2 / E|T(x) - mean|^2 over pixels: 1 is the map, 0 the mean picture."""
    each = rows_at_once(x.shape[1:])
    parts = [slice(k, k + each) for k in range(0, len(x), each)]
    mean = sum(truth(x[part]).double().sum(0) for part in parts) / len(x)
    error = sum((y[part] - truth(x[part])).double().square().sum() for part in parts)
    spread = sum((truth(x[part]) - mean).square().sum() for part in parts)
    return float(1 - error / spread)
