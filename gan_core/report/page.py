"""The page: what a person asks first, every run side by side, then each run; at the end what the papers claim."""

from __future__ import annotations

import statistics
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gan_core.core import lineage
from gan_core.core.feature_names import SHOWN, in_features, split_name
from gan_core.report import charts, pictures, words
from gan_core.report.facts import Facts, figures, interval
from gan_core.report.headline import listed

HEADLINE = ("fd", "kid", "precision", "recall", "coverage")
BARRED = ("fd", "coverage")
"""Headline figures that are drawn as bars as well."""
FEW = 1_000
"""Held-out samples below which a Frechet distance is markedly biased."""
LARGE = 100_000
"""Bytes of a picture above which the page holds a copy that takes less."""
FOLDER = Path(__file__).parent


def html(
    runs: Sequence[Facts],
    claims: Sequence[Mapping[str, Any]] = (),
    declared: Mapping[str, Any] | None = None,
    timings: Sequence[Mapping[str, Any]] = (),
    others: Sequence[str] = (),
) -> str:
    """The page, as one file that needs no other.

    ``declared``: what params.yaml says of every run; ``timings``: results of the serving benchmark; ``others``: runs
    that are declared and not made yet.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "named": words.named,
        "data": data,
        "tiny": tiny,
        "short": lambda v: v[:16],
    }
    groups = words.groups(runs)
    return environment.get_template("page.html").render(
        style=Markup((FOLDER / "style.css").read_text()),
        runs=[Shown(run, (declared or {}).get(run.name)) for run in runs],
        answers=answers(runs, groups, claims),
        missing=words.not_made(others).capitalize() if others else "",
        groups=[Comparison(group) for group in groups],
        columns=[c for c in HEADLINE if any(e.value(c) is not None for g in groups for e in g.entries)],
        whiskers=any(e.span("fd") for g in groups for e in g.entries),
        claims=[claimed(claim) for claim in claims],
        timings=timings,
        meaning=words.meaning,
        features=SHOWN,
        health=words.health,
    )


def number(value: Any) -> str:
    """As a page shows it: with a real minus."""
    return words.number(value).replace("-", "−") if isinstance(value, float) else words.number(value)


def tiny(value: float) -> str:
    """A number of which the size is all that matters."""
    return f"{value:.1e}".replace("e-0", "e-").replace("-", "−")


def data(png: bytes) -> str:
    """A picture inside the page; of a large one, a copy that a person cannot tell from it."""
    kind, content = ("png", png) if len(png) <= LARGE else ("webp", pictures.webp(png))
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


Line = tuple[str, str]
"""What a sentence is about, maybe nothing, and the sentence."""


@dataclass(frozen=True)
class Answer:
    """One of the three first questions, and what the runs say to it."""

    question: str
    level: str
    says: Sequence[Line]


def answers(runs: Sequence[Facts], groups: Sequence[words.Group], claims: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Which run is best, is anything wrong, can it be trusted."""
    best = [(g.title, g.verdict) for g in groups if len(g.entries) > 1]
    best += [(e.title, f"alone on {g.title}, {e.distance}") for g in groups for e in single(g)]
    wrong = troubles(runs)
    checks = sum(len(run.checks) for run in runs)
    fine = [("", f"All {checks:,} checks of the gate passed: each artefact computes what was trained.")]
    monitored = sum(run.monitored for run in runs)
    calm = [("", f"No failure detected in {monitored} monitored runs.")] if monitored and not wrong else []
    return [
        Answer("Which run is best?", "none", best or [("", "Nothing was measured.")]),
        Answer("Is anything wrong?", "warn" if wrong else "good", [*wrong, *calm, *fine]),
        Answer("Can I trust it?", "none", [("", line) for line in [*grounds(groups), *held(claims)]]),
    ]


def single(group: words.Group) -> Sequence[words.Entry]:
    """The entry of a group that has but one."""
    return group.entries if len(group.entries) == 1 else ()


def troubles(runs: Sequence[Facts]) -> list[Line]:
    """What a person should see."""
    found = []
    for run in runs:
        level, verdict = words.health(run)
        if level in ("warn", "bad"):
            found.append((run.name, verdict))
        found += [(run.title(role), says) for role, says in said_of(run)]
    return found


def said_of(run: Facts) -> list[Line]:
    """What the figures of each role say, where something is wrong with its samples."""
    return [(role, says) for role, found in run.measured.items() for says in found.get("verdicts", {}).values()]


def grounds(groups: Sequence[words.Group]) -> list[str]:
    """How far the figures can be believed."""
    protocols = [e.found["protocol"] for g in groups for e in g.entries]
    if not protocols:
        return []
    counts = [p["real_count"] for p in protocols]
    said = [f"Measured on real samples that training never saw: {min(counts):,} to {max(counts):,} a run."]
    if any(p["features"] == "own" for p in protocols):
        said.append("FD-own uses the features of a small classifier of the same data: no figure of papers.")
    if any(p["features"] == "lite0" for p in protocols):
        said.append("FD-Lite0 uses the features of EfficientNet-Lite0 (ImageNet): no FID, whose network is Inception.")
    spans = list(dict.fromkeys(p["interval"] for p in protocols if "interval" in p))
    said += [f"Intervals: {span}." for span in spans]
    if min(counts) < FEW:
        said.append("Few samples push a Fréchet distance up, for real samples as well: see what those score.")
    return said


def held(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many of the papers' claims were found to hold."""
    return [f"{sum(c['holds'] for c in claims)} of {len(claims)} claims of the papers hold here."] if claims else []


@dataclass(frozen=True)
class Comparison:
    """Rows of the table of all runs that may be compared, drawn to one scale."""

    group: words.Group

    def bar(self, entry: words.Entry, name: str) -> Markup:
        """A headline figure, drawn; a distance only where there is something to compare it with."""
        value, span, real = entry.value(name), entry.span(name), entry.real(name)
        if name not in BARRED or value is None:
            return Markup("")
        if name == "coverage":
            return charts.bar(value, span, 1.0, real)
        values = sorted(v for e in self.group.entries if (v := e.value(name)) is not None)
        top = min(values[-1], 5 * values[len(values) // 2])
        return charts.bar(value, span, top * 1.05, real) if len(values) > 1 else Markup("")


class Shown:
    """One run, as its section shows it."""

    def __init__(self, run: Facts, declared: Any) -> None:
        self.run = run
        self.declared = yaml.safe_dump(declared, sort_keys=False).strip() if declared else ""
        self.pictures = [(name, png, *named(name, png)) for name, png in run.pictures.items()]
        there = {k for found in run.measured.values() for k in figures(found)}
        order = {name: k for k, name in enumerate(words.MEASURES)}
        self.measures = sorted(there, key=lambda k: (order.get(split_name(k)[0], len(order)), k))
        self.by_class = {
            role: (name, found[name])
            for role, found in run.measured.items()
            if (name := in_features("kid_of_class", found["protocol"]["features"])) in found
        }
        self.protocol = list(dict.fromkeys(k for found in run.measured.values() for k in found["protocol"]))

    @property
    def verdicts(self) -> list[Line]:
        """What the figures of each role say."""
        return said_of(self.run)

    @property
    def unknown(self) -> list[Line]:
        """What the figures of each role cannot show."""
        return [(role, says) for role, found in self.run.measured.items() for says in found.get("unknown", ())]

    @property
    def data(self) -> dict[str, Any]:
        """What was found in a user's own images, by the first role that is compared with them."""
        told: dict[str, Any] = {}
        for role, found in self.run.measured.items():
            if (data := found.get("data")) and data not in told.values():
                told[role] = data
        return told

    def span(self, role: str, name: str) -> tuple[float, float] | None:
        """Where a figure may well lie."""
        return interval(self.run.measured[role], name)

    @property
    def shipped(self) -> float:
        """The step whose weights ship; the last, where nothing else is said."""
        notes = self.run.notes
        return float(notes.get("step", notes.get("steps", 0)))

    @property
    def lineage(self) -> list[str]:
        """Where its first weights came from, in sentences."""
        return lineage.sentences(self.run.lineage) if self.run.lineage else []

    @property
    def last(self) -> str:
        """What the weights of the last step would have scored, where others ship."""
        said = [
            f"{self.run.title(role)}: the last step, {last['step']:,.0f}, has "
            f"{words.named(in_features('kid', found['protocol']['features']))} {number(last['kid'])}, what ships "
            f"{number(last['kid_shipped'])}"
            for role, found in self.run.measured.items()
            if (last := found.get("last"))
        ]
        return f"{listed(said)}." if said else ""

    @property
    def losses(self) -> list[Markup]:
        """A chart for every term of every loss."""
        return self._series(self.run.losses)

    @property
    def progress(self) -> list[Markup]:
        """What was measured on the way, the shipped step marked."""
        return self._series(self.run.progress, self.shipped)

    @property
    def seen(self) -> list[Markup]:
        """What failures are detected by."""
        series = (self.run.health or {}).get("series", {})
        alarms = self._alarms
        return [charts.curve(words.named(k), [(a, b) for a, b in of], alarms=alarms) for k, of in series.items()]

    @property
    def learned(self) -> list[Markup]:
        """The local order of a learned f."""
        return [
            charts.curve(f"local order α of the learned {role}", points, "log-ratio v", known=(0, 1))
            for role, points in self.run.curves.items()
        ]

    @property
    def _alarms(self) -> list[float]:
        return [float(event["step"]) for event in self.run.alarms if event["kind"] != "recovered"]

    def _series(self, rows: Sequence[Mapping[str, float]], marked: float | None = None) -> list[Markup]:
        """A chart for every column of a table whose rows are steps."""
        names = dict.fromkeys(name for row in rows for name in row if name != "step")
        columns = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
        return [charts.curve(words.named(k), of, marked=marked, alarms=self._alarms) for k, of in columns.items()]


def named(name: str, png: bytes) -> tuple[str, str]:
    """The title and the description of a picture: its own, or what its file is called."""
    title, says = pictures.caption(png)
    return title or words.named(name.replace("-", " ")).capitalize(), says


def claimed(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with the median of its seeds in words."""
    names = claim["figures"][0] if claim["figures"] else {}
    found = {name: statistics.median(seed[name] for seed in claim["figures"]) for name in names}
    return {**claim, "measured": ", ".join(f"{name} {value:.3g}" for name, value in found.items())}
