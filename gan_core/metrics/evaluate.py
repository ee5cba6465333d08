"""Everything that is measured of a trained run: figures of each role with their protocol, and samples to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from gan_core.core.artifact import Artifact
from gan_core.core.pixels import Pixels, to_uint8
from gan_core.core.samples import Sample, Samples, shrunk
from gan_core.data.packed import PARTS
from gan_core.data.prepared import Prepared
from gan_core.metrics import roles
from gan_core.metrics.batching import features
from gan_core.metrics.distances import frechet, kernel
from gan_core.metrics.drawn import Drawn
from gan_core.metrics.inception import Inception
from gan_core.metrics.measure import Reference, with_intervals

if TYPE_CHECKING:
    from gan_core.config.schema import Evaluate

SHOWN, FEWEST, SHEET, LARGEST = 64, 4, 1_024, 512
"""Images on the sheet of samples, of all roles together; fewer where they would fill more than so many pixels across,
down to four of so many pixels."""
FEW_POINTS = 2_500
"""Points on it, where the samples are points."""


@dataclass
class Evaluation:
    """Figures by role, and samples to show: images as pixels, or the points of the first role."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: list[Pixels] = field(default_factory=list)
    points: list[Sample] = field(default_factory=list)

    @property
    def numbers(self) -> dict[str, float]:
        """Only the numbers, the same columns for every run; of several roles their mean."""
        measured = [found for found in self.figures.values() if "protocol" in found]
        names = dict.fromkeys(k for found in measured for k, v in found.items() if isinstance(v, int | float))
        return {name: fmean(found[name] for found in measured if name in found) for name in names}


def evaluate(
    trained: Mapping[str, Artifact],
    last: Mapping[str, Artifact],
    data: Prepared,
    extractor: Artifact,
    references: Mapping[str, Reference],
    asked: Evaluate,
) -> Evaluation:
    """Measure every role that draws samples, and read every curve.

    ``last``: the weights of the last step, of roles where those of an earlier one are shipped.
    """
    inception = Inception.read(Path(asked.inception)) if asked.inception else None
    drawing = {role: network for role, network in trained.items() if network.config.output_space in references}
    found = Evaluation()
    for role, network in drawing.items():
        inputs, fake = draw(network, data, asked)
        space = network.config.output_space
        reference, domain = references[space], data.spaces[space]
        measured = roles.figures(role, trained, references, inputs, fake)
        measured.figures |= dict(roles.reconstruction(role, trained, references["x"], data.samples("heldout")))
        if inception and data.is_image:
            measured.figures["inception_fid"] = inception.fid(domain.samples("heldout"), fake)
            measured.facts |= inception.facts
        found.figures[role] = {
            **with_intervals(reference, measured, asked.resamples, asked.seed),
            **(last_step(last[role], data, reference, asked) if role in last else {}),
            **of_data(domain.index),
            "protocol": reference.protocol(len(fake))
            | measured.facts
            | {
                "extractor": extractor.config.network,
                "extractor_classes": extractor.notes["classes"],
                "extractor_sha256": extractor.sha256,
                "resize": "none",
                "fake_bits": 8 if data.is_image else 32,
                "fid_of_training_data": frechet(reference.real, reference.train),
                "seed": asked.seed,
                "resamples": asked.resamples,
                "interval": "95 %, of other samples of the same data and weights",
                "weights": f"EMA, half-life of {network.notes['ema']} images",
                "step": network.notes["step"],
                "chosen_by": "the training data",
            },
        }
        if data.is_image:
            sides = network.config.shape[1:]
            each = min(SHOWN, max(FEWEST, (SHEET // max(sides)) ** 2)) // len(drawing)
            sources = [inputs[i.name] for i in network.config.inputs if i.is_data]
            rows = [to_uint8(shrunk(x[:each], LARGEST).numpy()) for x in (*sources, fake)]
            found.shown += [image for row in zip(*rows, strict=True) for image in row][:each]
        else:
            found.points.append(fake[:FEW_POINTS])
    curves = {role: figures_of_curve(n) for role, n in trained.items() if n.config.output_space == "curve"}
    found.figures |= curves
    return found


def draw(network: Artifact, data: Prepared, asked: Evaluate) -> tuple[dict[str, Samples], Samples]:
    """The fixed inputs of a network and what it makes of them, images in 8 bits as a user sees them.

    Of a translator no more than there are real samples.
    """
    real = {space: domain.samples("heldout") for space, domain in data.spaces.items()}
    n = min([asked.samples, *(len(real[i.prior]) for i in network.config.inputs if i.is_data)])
    inputs = network.config.fixed_columns(n, asked.seed, real)
    return inputs, Drawn(network.network, list(inputs.values()), network.config.shape, data.is_image)


def last_step(network: Artifact, data: Prepared, reference: Reference, asked: Evaluate) -> dict[str, dict[str, float]]:
    """The same figures of the weights at the last step, where those of an earlier one are shipped."""
    _, fake = draw(network, data, asked)
    seen = features(reference.extractor, fake)
    return {
        "last": {
            "step": network.notes["step"],
            "fid": frechet(reference.real, seen),
            "kid": kernel(reference.real, seen),
        }
    }


def of_data(index: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a user's own images: what was found in them when they were prepared, and how many there are of each class."""
    if "found" not in index:
        return {}
    each = zip(index["class_names"], *(index["class_counts"].get(part, ()) for part in PARTS), strict=True)
    counts = {name: {"train": train, "heldout": heldout} for name, train, heldout in each}
    together = "; this of both domains together" if "domains" in index["source"] else ""
    return {"data": {"found": index["found"]["says"] + together, "counts": index["counts"], "classes": counts}}


def figures_of_curve(curve: Artifact) -> dict[str, float]:
    """A curve at 17 places."""
    at = torch.linspace(-4, 4, 17)
    with torch.no_grad():
        values = curve.network(at[:, None]).squeeze(1)
    return {f"at {v:+.1f}": value for v, value in zip(at.tolist(), values.tolist(), strict=True)}
