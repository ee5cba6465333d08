"""Everything that is measured of a trained run: figures with what real samples score, their protocol, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gan_core.core.artifact import Artifact
from gan_core.core.feature_names import in_features
from gan_core.core.inputs import LATENT
from gan_core.core.lineage import IMPORTED, of_import
from gan_core.core.pixels import Pixels, to_uint8
from gan_core.core.samples import Chosen, Sample, Samples, alike, shrunk
from gan_core.data.packed import PARTS
from gan_core.data.prepared import Prepared
from gan_core.metrics import roles
from gan_core.metrics.distances import kernel
from gan_core.metrics.drawn import Drawn, with_latents
from gan_core.metrics.inception import Inception
from gan_core.metrics.measure import Reference, named, with_intervals
from gan_core.metrics.verdicts import Advice, unknown, verdicts

if TYPE_CHECKING:
    from gan_core.config.schema import Evaluate

SHOWN, FEWEST, SHEET, LARGEST = 64, 4, 1_024, 512
"""Images on the sheet of samples, of all roles together; fewer where they would fill more than so many pixels across,
down to four of so many pixels."""
MIDDLE = "the middle of each picture; other windows of it, and copies of them, are not seen"
"""What figures look at where a run sees a window at a time (``crop_from``)."""
FEW = 1_000
"""Samples of the last step's weights, which do not ship."""
FEW_POINTS = 2_500
"""Points on it, where the samples are points."""


@dataclass
class Evaluation:
    """Figures by role, and samples to show: images as pixels, or the points of the first role."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: list[Pixels] = field(default_factory=list)
    points: list[Sample] = field(default_factory=list)

    @property
    def measured(self) -> dict[str, dict[str, Any]]:
        """Role -> its figures, of the roles that draw samples."""
        return {role: found for role, found in self.figures.items() if "protocol" in found}


def evaluate(
    trained: Mapping[str, Artifact],
    last: Mapping[str, Artifact],
    data: Prepared,
    references: Mapping[str, Reference],
    asked: Evaluate,
) -> Evaluation:
    """Measure every role that draws samples, and read every curve.

    ``last``: the weights of the last step, of roles where those of an earlier one are shipped.
    """
    inception = Inception.read(Path(asked.inception)) if asked.inception and asked.features != "inception" else None
    drawing = {role: network for role, network in trained.items() if network.config.output_space in references}
    found = Evaluation()
    for role, network in drawing.items():
        inputs, fake = draw(network, trained, data, asked)
        space = network.config.output_space
        reference, domain = references[space], data.spaces[space]
        labelled = any(i.prior == "label" for i in network.config.inputs)
        measured = roles.figures(role, trained, references, inputs, fake)
        measured.figures |= dict(roles.reconstruction(role, trained, reference, data.samples("heldout")))
        floor = reference.floor(len(fake), labelled)
        if inception and data.is_image:
            real, train = reference.heldout.samples, Chosen(reference.train.samples, torch.arange(len(fake)))
            measured.figures["inception_fid"] = inception.fid(real, fake)
            floor.figures["inception_fid"] = inception.fid(real, train)
            measured.facts |= {f"inception_{name}": fact for name, fact in inception.facts.items()}
        variance = float(reference.heldout.features.var(0).sum())
        cannot = list(unknown(len(reference.heldout.rows), len(fake)))
        figures = with_intervals(reference, measured, asked.resamples, asked.seed)
        least_kid = figures["intervals"][in_features("kid", reference.network.name)][0] if cannot else None
        said = verdicts(measured.figures, floor.figures, variance, least_kid, Advice.on(network))
        found.figures[role] = {
            **figures,
            "real": named(reference, plain(floor.figures)),
            "verdicts": {v["kind"]: v["says"] for v in said},
            **({"unknown": cannot} if cannot else {}),
            **(last_step(role, trained, last, data, reference, asked) if role in last else {}),
            **of_data(domain.index),
            "protocol": reference.protocol(len(fake))
            | measured.facts
            | {
                "feature_variance": variance,
                "fake_bits": data.bits if data.is_image else 32,
                **(
                    {"alpha": "on mid-grey, but for the own classifier"} if data.shape[0] == 4 and data.is_image else {}
                ),
                **({"window": MIDDLE} if domain.packed else {}),
                "seed": asked.seed,
                "resamples": asked.resamples,
                "interval": "95 %, of other samples of the same data and weights",
                **weights(network.notes),
            },
        }
        if data.is_image:
            sides = network.config.shape[1:]
            each = min(SHOWN, max(FEWEST, (SHEET // max(sides)) ** 2)) // len(drawing)
            whole = Chosen(data.samples("heldout"), torch.arange(len(fake)))  # of what latents are
            sources = [whole if i.prior == LATENT else inputs[i.name] for i in network.config.inputs if i.is_data]
            truth = [domain.samples("heldout")] if sources and data.aligned else []
            rows = [to_uint8(shrunk(alike(x[:each], sides), LARGEST).numpy()) for x in (*sources, fake, *truth)]
            found.shown += [image for row in zip(*rows, strict=True) for image in row][:each]
        else:
            found.points.append(fake[:FEW_POINTS])
    curves = {role: figures_of_curve(n) for role, n in trained.items() if n.config.output_space == "curve"}
    found.figures |= curves
    return found


def weights(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Which weights were measured: of which step and why, or of which file."""
    if IMPORTED in notes:
        return {"weights": of_import(notes[IMPORTED])}
    ema = f"EMA, half-life of {notes['ema']} images"
    return {"weights": ema, "step": notes["step"], "chosen_by": "the training data"}


def draw(
    network: Artifact, trained: Mapping[str, Artifact], data: Prepared, asked: Evaluate
) -> tuple[dict[str, Samples], Samples]:
    """The fixed inputs of a network and what it makes of them, images as the pixels that a user gets.

    No more than there are training samples, as these are what they are held against; of a translator, than there are
    held-out ones to translate, and of a decoder of an encoder's latents, than there are to reconstruct.
    """
    real = with_latents(trained, {space: domain.samples("heldout") for space, domain in data.spaces.items()})
    against = len(data.spaces[network.config.output_space].samples("train"))
    n = min([asked.samples, against, *(len(real[i.prior]) for i in network.config.inputs if i.is_data)])
    inputs = network.config.fixed_columns(n, asked.seed, real)
    return inputs, Drawn(
        network.network, list(inputs.values()), network.config.shape, data.bits if data.is_image else None
    )


def last_step(
    role: str,
    shipped: Mapping[str, Artifact],
    last: Mapping[str, Artifact],
    data: Prepared,
    reference: Reference,
    asked: Evaluate,
) -> dict[str, dict[str, float]]:
    """KID of the weights at the last step and of the shipped ones, of as many samples: few, as it is unbiased."""
    few = replace(asked, samples=min(asked.samples, FEW))
    kid = {
        name: kernel(reference.heldout.features[:FEW], reference.network(draw(of[role], of, data, few)[1]))
        for name, of in (("kid", last), ("kid_shipped", shipped))
    }
    return {"last": {"step": last[role].notes["step"], **kid}}


def plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are one number."""
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


def of_data(index: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a user's own images: what was found in them when they were prepared, and how many there are of each class."""
    if "found" not in index:
        return {}
    each = zip(index["class_names"], *(index["class_counts"].get(part, ()) for part in PARTS), strict=True)
    counts = {name: {"train": train, "heldout": heldout} for name, train, heldout in each}
    together = "; this of both domains together" if {"domains", "pairs"} & index["source"].keys() else ""
    found = {"found": index["found"]["says"] + together, "odd": index["found"]["odd"]}
    return {"data": found | {"counts": index["counts"], "classes": counts}}


def figures_of_curve(curve: Artifact) -> dict[str, float]:
    """A curve at 17 places."""
    at = torch.linspace(-4, 4, 17)
    with torch.no_grad():
        values = curve.network(at[:, None]).squeeze(1)
    return {f"at {v:+.1f}": value for v, value in zip(at.tolist(), values.tolist(), strict=True)}
