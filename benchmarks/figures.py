"""What each figure sees: real pictures spoiled in known ways, measured as a generator's samples are.

    python -m benchmarks.figures DATASET [own | lite0]

The data set must be prepared. Half of its training samples are what a generator would have trained on; the other half,
which it has not met, is spoiled and stands for drawn samples.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad

from gan_core.config.load import load_params
from gan_core.core import artifact
from gan_core.core.pixels import to_uint8
from gan_core.core.samples import Chosen, Sample, Samples
from gan_core.data.packed import to_model
from gan_core.data.prepared import Prepared
from gan_core.metrics.batching import fixed_rows
from gan_core.metrics.measure import Reference, measure, references
from gan_core.metrics.verdicts import verdicts
from gan_core.report.words import rank
from gan_core.runtime.device import set_up
from stages import paths

MOST = 2_000
"""Samples of each kind."""
SHOWN = ("fd", "kid", "precision", "recall", "density", "coverage", "copied", "nearer_to_train", "ms_ssim")
Spoil = Callable[[Sample], Sample]


@dataclass(frozen=True)
class Half:
    """A data set of which half of the training samples is there."""

    whole: Prepared
    rows: Tensor
    index: dict[str, Any] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        return True

    def samples(self, part: str) -> Samples:
        return Chosen(self.whole.samples(part), self.rows) if part == "train" else self.whole.samples(part)

    def labels(self, part: str) -> Tensor | None:
        y = self.whole.labels(part)
        return y[self.rows] if part == "train" and y is not None else y


def blurred(sigma: float) -> Spoil:
    """By a Gaussian of so many pixels."""

    def spoil(x: Sample) -> Sample:
        reach = int(3 * sigma) + 1
        at = torch.arange(-reach, reach + 1, dtype=torch.float32)
        line = torch.exp(-(at**2) / (2 * sigma**2))
        line = (line / line.sum()).expand(x.shape[1], 1, 1, -1)
        wide = pad(x, (reach, reach, 0, 0), "replicate")
        x = conv2d(wide, line, groups=x.shape[1])
        return conv2d(pad(x, (0, 0, reach, reach), "replicate"), line.transpose(2, 3), groups=x.shape[1])

    return spoil


def noisy(levels: float) -> Spoil:
    """By normal noise of so many grey levels of 255."""
    return lambda x: (x + levels / 127.5 * torch.randn_like(x)).clamp(-1, 1)


def compressed(quality: int) -> Spoil:
    """Through JPEG."""

    def one(image: Any) -> Any:
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).reshape(image.shape)

    return lambda x: to_model(torch.from_numpy(np.stack([one(image) for image in to_uint8(x.numpy())])))


def off_colour(by: float) -> Spoil:
    """The first channel brighter."""

    def spoil(x: Sample) -> Sample:
        x = x.clone()
        x[:, 0] += by
        return x.clamp(-1, 1)

    return spoil


def halves(x: Sample) -> Sample:
    """The right half of each picture is another's."""
    x, middle = x.clone(), x.shape[3] // 2
    x[..., middle:] = x.roll(1, 0)[..., middle:]
    return x


def spoiled(x: Sample, train: Sample, y: Tensor | None) -> Iterator[tuple[str, Sample]]:
    """Fresh samples ``x`` and what becomes of them; ``train``: samples that were trained on, ``y``: labels of x."""
    yield "nothing", x
    yield from ((f"blurred, σ {sigma} px", blurred(sigma)(x)) for sigma in (0.5, 1, 2))
    yield from ((f"noise of {levels} grey levels", noisy(levels)(x)) for levels in (10, 20, 40))
    yield "JPEG, quality 10", compressed(10)(x)
    yield "first channel brighter by 25", off_colour(0.2)(x)
    yield "right half of another picture", halves(x)
    if y is not None:
        classes = torch.unique(y)
        for gone in (1, len(classes) // 2):
            kept = (y[:, None] != classes[None, :gone]).all(1).nonzero().squeeze(1)
            yield f"{gone} of {len(classes)} classes missing", x[kept[torch.arange(len(x)) % len(kept)]]
    yield "200 pictures, over and over", x[torch.arange(len(x)) % 200]
    for share in (0.2, 1.0):
        n = int(share * len(x))
        yield f"{share:.0%} copies of training pictures", torch.cat([train[:n], x[n:]])[torch.randperm(len(x))]


def table(reference: Reference, x: Sample, y: Tensor | None) -> Iterator[str]:
    """A row a defect, a column a figure."""
    floor = reference.floor(min(len(x), len(reference.train.rows)), False).figures
    variance = float(reference.heldout.features.var(0).sum())
    yield "| samples | " + " | ".join(SHOWN) + " | said |"
    yield "| --- |" + " ---: |" * len(SHOWN) + " --- |"
    yield "| *trained on (the floor)* | " + " | ".join(f"{floor[k]:.3g}" if k in floor else "" for k in SHOWN) + " | |"
    ranked = []
    for name, samples in spoiled(x, reference.train.samples[:], y):
        found = measure(reference, samples).figures
        kinds = {v["kind"]: v for v in verdicts(found, floor, variance)}
        ranked.append((rank(found["fd"], {"verdicts": kinds}), name))
        said = ", ".join(kind.replace("_", " ") for kind in kinds)
        yield f"| {name} | " + " | ".join(f"{found[k]:.3g}" for k in SHOWN) + f" | {said} |"
    yield "\nAs a report ranks them: " + "; ".join(name for _, name in sorted(ranked)) + "."


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("features", nargs="?", default="auto", choices=("auto", "own", "lite0"))
    asked = parser.parse_args()
    params = load_params()
    set_up(params.threads)
    torch.manual_seed(0)
    data, own = Prepared(paths.prepared(asked.dataset)), artifact.load(paths.extractor(asked.dataset))
    n = min(MOST, len(data.samples("train")) // 2)
    rows = fixed_rows(data.samples("train"), 2 * n, "what figures see")
    evaluate = replace(params.evaluate, features=asked.features, samples=n)
    whole = references(data, own, evaluate)["x"]
    reference = Reference.of(whole.network, Half(data, rows[:n], {"classes": data.classes}), n, whole.classifier)
    labels = data.labels("train")
    y = labels[rows[n:]] if labels is not None and data.classes > 1 else None
    variance = reference.heldout.features.var(0).sum()
    print(f"{asked.dataset}, {whole.network.name} features of variance {variance:.3g}, {n:,} samples of each kind\n")
    for line in table(reference, data.samples("train")[rows[n:]], y):
        print(line, flush=True)


if __name__ == "__main__":
    main()
