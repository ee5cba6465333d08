"""Curves as inline SVG. Colours are the page's, through classes; every chart says in words what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import asinh, ceil, floor, isfinite, log10

from markupsafe import Markup, escape

Point = tuple[float, float]
WIDTH, HEIGHT = 270, 140
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 8, 20
MOST = 400
"""Points of a curve that are drawn."""
DEEP = 1e-9
"""What is smaller than this share of the largest is as good as zero."""
WIDE = 30.0
"""From this ratio of the largest to the smallest on, a scale is logarithmic."""


@dataclass(frozen=True)
class Scale:
    """How values become heights: ``forth`` grows, ``ticks`` are values worth a line."""

    name: str
    forth: Callable[[float], float]
    ticks: Sequence[float]
    low: float
    high: float

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        low, high = self.forth(self.low), self.forth(self.high)
        return (self.forth(value) - low) / ((high - low) or 1.0)


def nice(low: float, high: float, least: int = 3) -> list[float]:
    """Round values from low to high, in the widest steps of 1, 2 or 5 times a power of ten that give enough of them."""
    if not high > low:
        return [low]
    power = floor(log10(high - low))
    for step in (m * 10.0**p for p in range(power, power - 3, -1) for m in (5, 2, 1)):
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first + 1 >= least:
            break
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def scale(values: Sequence[float]) -> Scale:
    """The scale on which values can be read: linear, logarithmic, or linear around zero and logarithmic beyond."""
    low, high = min(values), max(values)
    sizes = sorted(abs(v) for v in values)
    if low > 0 and high > WIDE * low:
        powers = [10.0**k for k in range(floor(log10(low)), ceil(log10(high)) + 1)]
        ticks = [m * p for p in powers for m in ((1,) if len(powers) > 2 else (1, 2, 5))]
        return Scale("log scale", log10, [t for t in ticks if low <= t <= high], low, high)
    usual = sizes[len(sizes) // 2]
    if usual > 0 and sizes[-1] > WIDE * usual:
        usual = max(usual, sizes[-1] * DEEP)
        powers = [10.0**k for k in range(floor(log10(usual)), ceil(log10(sizes[-1])) + 1)]
        ticks = [*(-p for p in reversed(powers)), 0.0, *powers]
        shown = [t for t in ticks if low <= t <= high]
        return Scale("linear near 0, log beyond", lambda v: asinh(v / usual), shown, low, high)
    margin = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin
    return Scale("", float, nice(low, high), low, high)


def apart(ticks: Sequence[float], place: Callable[[float], float], least: float = 14) -> list[float]:
    """The ticks that have room for their number, zero and the largest first."""
    kept: list[float] = []
    for tick in sorted(ticks, key=lambda t: (t != 0, -abs(t))):
        if all(abs(place(tick) - place(other)) >= least for other in kept):
            kept.append(tick)
    return kept


def short(value: float) -> str:
    """A number on an axis: 2k, 0.5, 1e−5."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    if abs(value) >= 1000:
        return f"{value / 1000:g}k".replace("-", "−")
    return f"{value:g}".replace("-", "−")


def curve(
    name: str,
    points: Sequence[Point],
    over: str = "steps",
    marked: float | None = None,
    known: Sequence[float] = (),
    alarms: Sequence[float] = (),
) -> Markup:
    """A chart of one curve, with its name.

    ``marked``: the place of a point to mark; ``known``: values worth a line; ``alarms``: places worth one.
    """
    points = [p for p in points if isfinite(p[1])]
    if not points:
        return Markup("")
    stride = ceil(len(points) / MOST)
    kept = [*points[:-1:stride], points[-1]]
    y = scale([v for _, v in kept] + list(known))
    first, last = kept[0][0], kept[-1][0]
    start = min(first, 0.0)
    x = Scale("", float, nice(start, last), start, last)

    def across(value: float) -> float:
        return LEFT + x.share(value) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return TOP + (1 - y.share(value)) * (HEIGHT - TOP - BOTTOM)

    parts = [f"<path class='axis' d='M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}'/>"]
    for tick in apart(y.ticks, down):
        at = f"{down(tick):.1f}"
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at}' y2='{at}'/>")
        parts.append(f"<text x='{LEFT - 5}' y='{at}' dy='.32em' text-anchor='end'>{short(tick)}</text>")
    for tick in x.ticks:
        parts.append(f"<text x='{across(tick):.1f}' y='{HEIGHT - 6}' text-anchor='middle'>{short(tick)}</text>")
    for value in known:
        at = f"{down(value):.1f}"
        parts.append(f"<line class='known' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at}' y2='{at}'/>")
    for step in alarms:
        at = f"{across(step):.1f}"
        parts.append(f"<path class='alarm' d='M{at} {TOP}V{HEIGHT - BOTTOM}'/>")
    way = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in kept)
    parts.append(f"<polyline class='curve' points='{way}'/>")
    parts += [f"<circle class='mark' cx='{across(a):.1f}' cy='{down(b):.1f}' r='4'/>" for a, b in points if a == marked]
    says = (
        f"{name} over {over} {short(first)} to {short(last)}: from {kept[0][1]:.3g} to {kept[-1][1]:.3g}, "
        f"between {min(b for _, b in kept):.3g} and {max(b for _, b in kept):.3g}"
    )
    return Markup(
        f"<figure class='chart'><figcaption><b>{escape(name)}</b> <span>{escape(y.name)}</span></figcaption>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(says)}'>{''.join(parts)}</svg></figure>"
    )


def bar(value: float, span: tuple[float, float] | None, top: float, known: float | None = None) -> Markup:
    """A figure as a bar from zero, its interval over it, a mark at a known value; an arrow beyond the top."""
    width, height = 100, 12

    def at(v: float) -> str:
        return f"{max(0.0, min(v / (top or 1.0), 1.0)) * (width - 2):.1f}"

    parts = [f"<rect class='bar' y='2' height='8' width='{at(value)}'/>"]
    if value > top:
        parts.append(f"<path class='span' d='M{width - 8} 2l5 4l-5 4'/>")
    elif span:
        low, high = map(at, span)
        parts.append(f"<path class='span' d='M{low} 6H{high}M{low} 2.5v7M{high} 2.5v7'/>")
    if known is not None:
        parts.append(f"<path class='real' d='M{at(known)} 0v{height}'/>")
    return Markup(f"<svg class='bars' viewBox='0 0 {width} {height}' aria-hidden='true'>{''.join(parts)}</svg>")
