"""``python -m claims.why``: the pictures of docs/why-gans-fail.md, measured again. Some minutes on one core."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from math import log, log10
from pathlib import Path

from claims.gan import POINTS, few_samples, js
from claims.health import FEW, monitored
from claims.play import DIGITS, NOISE, Line, game_of, scores, segment, slope, train_discriminator
from claims.wgan import on_lines
from gan_core.runtime import files
from gan_core.runtime.device import set_up

FOLDER = Path("docs/why")
THETAS = (0.1, 0.25, 0.5, 0.75, 1.0)
SIZES = (16, 64, 256, 1024, 4096)
COLOURS = ("#3366cc", "#cc3344", "#2a9d5c", "#b8860b")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 560, 300, 56, 34, 44
Points = Sequence[tuple[float, float]]


def chart(title: str, across: str, lines: Mapping[str, Points], *, log_x: bool = False, log_y: bool = False) -> bytes:
    """Lines over one axis as an SVG that is read on white and on dark pages alike."""
    xs, ys = ([p[k] for points in lines.values() for p in points] for k in (0, 1))
    flat = [(min(v), max(v)) for v in ([log10(x) if log_x else x for x in xs], [log10(y) if log_y else y for y in ys])]
    (left, right), (low, high) = flat[0], (flat[1] if log_y else (min(0.0, flat[1][0]), flat[1][1] * 1.05))

    def at(x: float, y: float) -> tuple[float, float]:
        u = ((log10(x) if log_x else x) - left) / (right - left)
        v = ((log10(y) if log_y else y) - low) / (high - low)
        return LEFT + u * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM)

    def text(x: float, y: float, said: str, how: str = "middle", colour: str = "#333") -> str:
        return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{how}' fill='{colour}'>{escape(said)}</text>"

    body = [text(LEFT, 20, title, "start"), text((LEFT + WIDTH) / 2, HEIGHT - 8, across)]
    for k in range(5):
        value = low + (high - low) * k / 4
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * k / 4
        body.append(f"<line x1='{LEFT}' x2='{WIDTH - 20}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>")
        body.append(text(LEFT - 6, y + 4, f"{10**value if log_y else value:.2g}", "end"))
    for x in sorted(set(xs)) if len(set(xs)) <= 8 else [xs[0], *(xs[len(xs) // 4 * k] for k in (1, 2)), max(xs)]:
        body.append(text(at(x, ys[0])[0], HEIGHT - BOTTOM + 18, f"{x:g}"))
    for k, (name, points) in enumerate(lines.items()):
        spots = " ".join("{:.1f},{:.1f}".format(*at(*p)) for p in points)
        body.append(f"<polyline fill='none' stroke='{COLOURS[k]}' stroke-width='2.5' points='{spots}'/>")
        body += [f"<circle r='3' fill='{COLOURS[k]}' cx='{at(*p)[0]:.1f}' cy='{at(*p)[1]:.1f}'/>" for p in points]
        body.append(text(WIDTH - 26, TOP + 16 + 17 * k, name, "end", COLOURS[k]))
    frame = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif'"
    sheet = f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#fff'/>"
    return f"{frame} font-size='13'>{sheet}{''.join(body)}</svg>\n".encode()


def supports() -> dict[str, Points]:
    """Parallel segments at some distance: what discriminators estimate, and what that leaves for a generator."""
    found: dict[str, list[tuple[float, float]]] = {}
    for theta in THETAS:
        game = game_of("gan", POINTS, 0, learning_rate=1e-2, beta1=0.9, objective="saturating")
        game = replace(game, generator=Line(theta), z=Line.z)
        for _ in train_discriminator(game, lambda _: segment(256), 1500, 0):
            pass
        estimate = js(*scores(game.discriminator, segment(8192).x, game.generator(game.z.sample(8192))))
        critic = game_of("wgan_gp", POINTS, 0, learning_rate=1e-3, beta1=0.5)
        distance, pull = on_lines(critic, theta, 0)
        for name, value in (
            ("JS / log 2", estimate / log(2)),
            ("Wasserstein", distance),
            ("pull, minimax", abs(slope(game))),
            ("pull, non-saturating", abs(slope(replace(game, objective="non_saturating")))),
            ("pull, Wasserstein", abs(pull)),
        ):
            found.setdefault(name, []).append((theta, value))
    return dict(found)


def main() -> None:
    """Measure, draw, and write the figures beside the pictures."""
    set_up(1)
    lines = supports()
    few = few_samples(0)
    samples: dict[str, Points] = {
        name: [(float(n), few[f"{figure} at {n}"]) for n in SIZES]
        for name, figure in (
            ("JS / log 2 on the sets (truth: 0)", "JS / log 2"),
            ("accuracy, fresh samples", "fresh accuracy"),
        )
    }
    runs = {
        "80 digits": monitored(FEW, 1500, 0, batch=32),
        "1,438 digits": monitored(DIGITS, 1500, 0, noise=NOISE, r1=0.1, learning_rate=5e-4),
    }
    heart: dict[str, Points] = {
        name: [(float(s), v) for s, v in health["series"]["train_over_heldout"]] for name, health in runs.items()
    }
    estimates = {name: lines[name] for name in ("JS / log 2", "Wasserstein")}
    pictures = {
        "supports": chart("Two segments apart: what a discriminator estimates", "distance", estimates),
        "pull": chart(
            "Two segments apart: the gradient left to the generator",
            "distance",
            {k: [(x, max(y, 1e-12)) for x, y in v] for k, v in lines.items() if k.startswith("pull")},
            log_y=True,
        ),
        "few": chart("Two sets of one distribution", "samples in each set", samples, log_x=True),
        "heart": chart("Chance that a training sample outscores a new real one", "step", heart),
    }
    for name, picture in pictures.items():
        files.write(FOLDER / f"{name}.svg", picture)
    events = {name: health["events"] for name, health in runs.items()}
    files.write_json(FOLDER / "figures.json", {"supports": lines, "few": samples, "heart": heart, "events": events})
    print(json.dumps(lines | samples | heart, indent=1), json.dumps(events, indent=1), sep="\n")


if __name__ == "__main__":
    main()
