"""What the figures of a shipped generator say in words, each against what real samples score by the same protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gan_core.config import papers
from gan_core.core.artifact import Artifact
from gan_core.core.lineage import IMPORTED
from gan_core.data.split import LEAST_FOR_COVERAGE
from gan_core.runtime.words import either

SHARE = 1 / 16
"""Of the features' variance: farther than this above the floor, samples do not resemble the data. A shift of a quarter
of the data's deviation, or a loss of about a quarter of the deviation in every direction, is as far."""
LITTLE = 0.25
"""Recall below this share of that of real samples, and of what precision leaves of it: three quarters of what could be
covered is not. Beside data that fill little of the space, samples lie off them and lose both alike: that is no lack."""
COPIES = 0.1
"""Copies beyond those that real samples seem to be: one sample in ten is no accident of the nearest neighbour."""
Verdict = Mapping[str, Any]


class Advice(NamedTuple):
    """What may help, as the end of a sentence."""

    closer: str = "train longer, or use a larger network"
    wider: str = "lower the learning rate, or train on"
    classes: str = "lower the learning rate, or train on"

    @staticmethod
    def on(network: Artifact) -> Advice:
        """Of what its paper has, and what it is not given already."""
        if IMPORTED in network.notes:
            told = "look at what the file expects of its inputs, and at its range"
            return Advice(told, told, told)
        fields = papers.settings_of(network.notes["variant"]).model_fields
        rates = ["lower the learning rate", *(["raise r1"] if "r1" in fields else [])]
        drawn = not any(i.is_data or i.prior == "label" for i in network.config.inputs)
        conditions = ["condition on the class"] if drawn and papers.has_discriminator(network.notes["variant"]) else []
        return Advice(wider=either(*rates, "train on"), classes=either(*rates, *(conditions or ["train on"])))


IN_GENERAL = Advice()
"""Where nothing is known of a network."""


def verdicts(
    found: Mapping[str, Any],
    floor: Mapping[str, Any],
    variance: float,
    least_kid: float | None = None,
    advice: Advice = IN_GENERAL,
) -> Iterator[Verdict]:
    """What is wrong with samples; nothing of healthy ones.

    ``found``: figures by their plain names; ``floor``: those of training samples; ``variance``: of the features;
    ``least_kid``: the lower end of KID's interval, where few samples are measured. Then it is asked in place of FD, as
    few samples have hardly a covariance, and noise has the FD of real ones; and nothing is said of what is covered.
    """
    if least_kid is None:
        yield from unlike(found, floor, variance, advice)
        yield from lacking(found, floor, advice)
    elif least_kid > floor["kid"]:
        yield {
            "kind": "does_not_resemble_the_data",
            "says": f"the samples do not resemble the data: KID {found['kid']:.3g}, at least {least_kid:.3g} by its "
            f"interval, where real samples have {floor['kid']:.3g}; {advice.closer}",
        }
    if found["copied"] > floor["copied"] + COPIES:
        yield {
            "kind": "copies",
            "says": f"{found['copied']:.0%} of the samples are copies: a training sample is less than half as far as "
            f"every held-out one, as it is for {floor['copied']:.1%} of real samples; bring more data, augment it, "
            "or ship an earlier step",
        }


def unlike(found: Mapping[str, Any], floor: Mapping[str, Any], variance: float, advice: Advice) -> Iterator[Verdict]:
    """Whether samples are too far from the data by FD."""
    allowed = floor["fd"] + SHARE * variance
    if found["fd"] > allowed:
        yield {
            "kind": "does_not_resemble_the_data",
            "says": f"the samples do not resemble the data: FD {found['fd']:.3g}, where real samples have "
            f"{floor['fd']:.3g}, and up to {allowed:.3g} passes; {advice.closer}",
        }


def lacking(found: Mapping[str, Any], floor: Mapping[str, Any], advice: Advice) -> Iterator[Verdict]:
    """Whether a class is missing, or much of the data."""
    missing = floor.get("classes_seen", 0) - found.get("classes_seen", floor.get("classes_seen", 0))
    if missing > 0:
        yield {
            "kind": "covers_little",
            "says": f"{missing} of {floor['classes_seen']} classes never appear, or hardly; {advice.classes}",
        }
    elif found["recall"] < LITTLE * floor["recall"] * min(1, found["precision"] / max(floor["precision"], 1e-9)):
        yield {
            "kind": "covers_little",
            "says": f"the samples cover little of the data: recall {found['recall']:.2g}, where real samples have "
            f"{floor['recall']:.2g}; {advice.wider}",
        }


def unknown(heldout: int, drawn: int) -> Iterator[str]:
    """What figures of so many held-out samples, and so many drawn ones, cannot show; nothing, where both are enough."""
    if min(heldout, drawn) < LEAST_FOR_COVERAGE:
        yield (
            f"{drawn:,} samples are measured against {heldout:,} held-out ones: whether they cover the data cannot be "
            f"told (precision, recall, density and coverage need {LEAST_FOR_COVERAGE} of each), FD says nothing "
            "(noise may have that of real samples), and KID scatters as its interval says; "
            "copies, and samples far from the data, are found"
        )
