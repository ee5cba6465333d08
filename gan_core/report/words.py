"""What measures mean, how numbers are written, and what a table of figures says in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.core import lineage
from gan_core.core.feature_names import SHOWN, in_features, split_name
from gan_core.report.facts import Facts, interval
from gan_core.report.headline import TELLING, verdict
from gan_core.runtime.table import aligned

LOWER, HIGHER, NEITHER = "lower", "higher", ""

MEASURES: dict[str, tuple[str, str]] = {
    "fd": (LOWER, "Fréchet distance between held-out and drawn samples, as Gaussians of features"),
    "kid": (
        LOWER,
        "squared kernel distance of the same features; unbiased, so around 0 (even below) means no difference",
    ),
    "precision": (HIGHER, "share of drawn samples that lie among real ones: quality"),
    "recall": (HIGHER, "share of real samples that lie among drawn ones: variety"),
    "density": (HIGHER, "how thickly drawn samples lie where real ones do; can exceed 1"),
    "coverage": (HIGHER, "share of real samples with a drawn one in their neighbourhood: modes not forgotten"),
    "kid_within_class": (LOWER, "mean of the KID of each class on its own: within-class quality and variety"),
    "inception_fid": (LOWER, "FID through Inception v3, as papers give it"),
    "copied": (NEITHER, "share with a training sample less than half as far as every held-out one: copies"),
    "extractor_score": (HIGHER, "how surely samples are of a class, and how evenly of all classes (Inception score)"),
    "train_distance_ratio": (NEITHER, "distance to the nearest training sample; 1 as held-out samples, near 0 copies"),
    "nearer_to_train": (NEITHER, "share nearer to a training sample than to a held-out one; 0.5 is fair, more copies"),
    "ms_ssim": (NEITHER, "likeness of pairs of samples; about that of real pairs is right, more means less variety"),
    "parzen_nats": (HIGHER, "log-likelihood of real samples under windows over drawn ones; given as papers give it"),
    "recognised": (HIGHER, "share of samples that the classifier takes for some class with at least 90 % certainty"),
    "classes_seen": (HIGHER, "classes that samples are taken for"),
    "class_evenness": (HIGHER, "entropy of these classes; 1 when all are as frequent"),
    "class_kl": (LOWER, "divergence of the classes drawn from those of the real samples"),
    "label_accuracy": (HIGHER, "share of samples recognised as the label they were asked for"),
    "category_accuracy": (HIGHER, "share of samples whose code tells their class, codes matched to classes one to one"),
    "modes": (HIGHER, "modes of the true mixture with at least one sample near"),
    "modes_of": (NEITHER, "modes that there are"),
    "modes_strong": (HIGHER, "modes that get a fair share of the samples"),
    "high_quality": (HIGHER, "share of samples within three standard deviations of a mode"),
    "reverse_kl": (LOWER, "divergence of the share of each mode from the true one"),
    "translation_r2": (HIGHER, "how much of the true map between the domains was found; 1 is all, 0 the mean picture"),
    "class_kept": (HIGHER, "share of samples that are still of their class after translation"),
    "cycle_l1": (LOWER, "mean difference after there and back, in [-1, 1]"),
    "psnr": (HIGHER, "peak signal to noise ratio of what was made and what it should be, held-out, in decibels"),
    "ssim": (HIGHER, "structural similarity of what was made and what it should be, held-out; 1 is equal"),
    "l1": (LOWER, "mean difference of what was made from what it should be, held-out, in [-1, 1]"),
    "perceptual": (LOWER, "distance of what was made from what it should be, held-out, in a network's maps; not LPIPS"),
    "psnr_of_source": (NEITHER, "PSNR of the sources as they are, without translation"),
    "ssim_of_source": (NEITHER, "SSIM of the sources as they are, without translation"),
    "l1_of_source": (NEITHER, "L1 of the sources as they are, without translation"),
    "perceptual_of_source": (NEITHER, "perceptual distance of the sources as they are, without translation"),
    "latent_mean": (NEITHER, "mean of all numbers of the latents of held-out samples"),
    "latent_std": (NEITHER, "standard deviation of all numbers of the latents of held-out samples"),
    "latent_scale": (NEITHER, "1 / that deviation: what a model of latents multiplies them by"),
    "codes_used": (HIGHER, "share of the codebook that latents of held-out samples use"),
    "code_perplexity": (HIGHER, "how many codes, evenly used, would be as many as those that are used"),
    "reconstruction_mse": (LOWER, "mean squared difference of held-out samples after encoder and decoder"),
    "reconstruction_class_kept": (HIGHER, "share of held-out samples still of their class after encoder and decoder"),
}
"""Measure -> in which direction it is better, and what it says, in a line."""


def number(value: Any) -> str:
    """Always three digits of a number, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else str(value)


def named(key: str) -> str:
    """The name of a measure, a term or a picture, for a person; of a figure in features with what sees them."""
    figure, network = split_name(key)
    if network:
        return "FID" if key == "fd_inception" else f"{named(figure)}-{SHOWN[network]}"
    return {
        "fd": "FD",
        "kid": "KID",
        "ms_ssim": "MS-SSIM",
        "js": "JS",
        "cycle_l1": "cycle L1",
        "l1": "L1",
        "psnr": "PSNR",
        "ssim": "SSIM",
        "l1_of_source": "L1 of the source",
        "psnr_of_source": "PSNR of the source",
        "ssim_of_source": "SSIM of the source",
        "perceptual_of_source": "perceptual of the source",
        "translation_r2": "translation R²",
    }.get(key, key.replace("_", " "))


def meaning(key: str) -> tuple[str, str]:
    """In which direction a measure is better, and what it says; nothing of one that nobody knows."""
    return MEASURES.get(split_name(key)[0], (NEITHER, ""))


def telling(found: Mapping[str, Any], most: int) -> str:
    """The figures that say most beside the Frechet distance."""
    return ", ".join(f"{k} {found[k]:.3g}" for k in [k for k in TELLING if k in found][:most])


@dataclass(frozen=True)
class Entry:
    """One role of one run in a comparison."""

    run: Facts
    role: str
    found: Mapping[str, Any]

    @property
    def title(self) -> str:
        return self.run.title(self.role)

    @property
    def telling(self) -> str:
        return named(telling(self.found, 1))

    @property
    def is_image(self) -> bool:
        """Whether its samples are images."""
        return len(self.run.roles[self.role]["provenance"]["network"]["shape"]) == 3

    @property
    def features(self) -> str:
        """The network that its figures are taken in."""
        return str(self.found["protocol"]["features"])

    def name(self, figure: str) -> str:
        """What a figure is called in these features."""
        return in_features(figure, self.features)

    def value(self, figure: str) -> float | None:
        """A figure, if it was measured."""
        value: float | None = self.found.get(self.name(figure))
        return value

    def real(self, figure: str) -> float | None:
        """What training samples score."""
        value: float | None = self.found.get("real", {}).get(self.name(figure))
        return value

    @property
    def distance(self) -> str:
        """The Frechet distance and its name."""
        real = f" (real {number(self.real('fd'))})" if self.real("fd") is not None else ""
        return f"{named(self.name('fd'))} {number(self.value('fd'))}{real}"

    def span(self, figure: str) -> tuple[float, float] | None:
        """Where a figure may well lie."""
        return interval(self.found, self.name(figure))


@dataclass(frozen=True)
class Group:
    """What may be compared: roles that draw from the same space of the same data set, in the same features.

    The best comes first: by Frechet distance, but those of which the figures say what is wrong behind all others, as a
    generator that copies has the smallest distance of all.
    """

    dataset: str
    space: str
    entries: Sequence[Entry]

    features: str = ""

    @property
    def title(self) -> str:
        return self.dataset if self.space == "x" else f"{self.dataset}, second domain"

    @property
    def verdict(self) -> str:
        """Which is best, and whether the figures are sure of it."""
        first, *others = self.entries
        said = f"{first.title}, {first.distance}"
        if not others:
            return f"{said}; nothing to compare it with"
        second = others[0]
        if second.found.get("verdicts") and not first.found.get("verdicts"):
            return f"{said}; the figures of all others say what is wrong with them"
        spans = first.span("fd"), second.span("fd")
        follows = f"{said}; next {second.title}, {number(second.value('fd'))}"
        if spans[0] and spans[1]:
            sure = "the intervals do not touch" if spans[0][1] < spans[1][0] else "but the intervals overlap"
            return f"{follows}: {sure}"
        return follows


def rank(distance: float, found: Mapping[str, Any]) -> tuple[bool, float]:
    """By what the entries of a group are sorted."""
    return bool(found.get("verdicts")), distance


def groups(runs: Iterable[Facts]) -> list[Group]:
    """Everything that was measured, by what it may be compared with; the largest group first."""
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for run in runs:
        for role, of in run.measured.items():
            space = run.roles[role]["provenance"]["network"]["output_space"] if role in run.roles else "x"
            entry = Entry(run, role, of)
            found.setdefault((str(run.manifest["dataset"]), space, entry.features), []).append(entry)
    ranked = [
        Group(dataset, space, sorted(entries, key=lambda e: rank(e.found[e.name("fd")], e.found)), features)
        for (dataset, space, features), entries in found.items()
    ]
    return sorted(ranked, key=lambda group: -len(group.entries))


def health(run: Facts) -> tuple[str, str]:
    """(level, verdict) of a run, as ``headline.verdict`` says."""
    return verdict(run.measured, run.alarms if run.monitored else None)


def summary(runs: Sequence[Facts], others: Sequence[str], report: Path) -> str:
    """A short table for a terminal; ``others``: runs that are declared and not made yet."""
    lines = [("run", "metric", "parity (max abs)", "verdict", "artefacts")]
    for run in runs:
        for role, found in run.measured.items():
            entry = Entry(run, role, found)
            metric = ", ".join(filter(None, (entry.distance, telling(found, 1))))
            lines.append((entry.title, metric, f"{run.worst_error:.1e}", health(run)[1], run.artefacts))
    rows = aligned(lines)
    left = [f"{run.name} starts from {lineage.short(run.lineage)}" for run in runs if run.lineage]
    left = [*left, *([not_made(others)] if others else [])]
    left += [""] if left else []
    return "\n".join([rows[0], "-" * len(rows[0]), *rows[1:], "", *left, f"report: {report}"])


def not_made(names: Sequence[str]) -> str:
    """That runs are declared, and not measured and exported yet."""
    return f"not made yet: {', '.join(names)} (`dvc repro` makes them)"
