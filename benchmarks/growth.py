"""How costs grow: with the side of a picture, the batch, the data set and the number of declared runs.

``python -m benchmarks.growth``. For each, the time at a few sizes and the exponent of a power law fitted to the upper
half of them: 1 is linear. Writes results/growth.json and .svg.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import yaml

from benchmarks.machine import described
from benchmarks.train import RESULTS, Case, Noise, clock, ours
from gan_core.config import schema
from gan_core.config.load import load_params
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import Raw
from gan_core.runtime import files
from gan_core.runtime.device import set_up
from gan_core.training.run import ExecutionConfig

REPEATS = 3
PIXELS = 28


@dataclass(frozen=True)
class Growth:
    """One cost: what it depends on, at which sizes, and how to set it up; what is set up is timed."""

    name: str
    along: str
    sizes: Sequence[int]
    at: Callable[[int], Callable[[], object]]


def step_at_side(side: int) -> Callable[[], object]:
    """One step of a GAN on pictures of a side; the number of weights grows too, as the networks get deeper."""
    return ours(
        Case("gan", NetworkSpec("dcgan", 16, 64, (3, side, side)), 16), ExecutionConfig(channels_last=True), "cpu"
    )


def step_at_batch(size: int) -> Callable[[], object]:
    """One step of a GAN on a batch of a size."""
    return ours(
        Case("gan", NetworkSpec("dcgan", 16, 64, (1, 16, 16)), size), ExecutionConfig(channels_last=True), "cpu"
    )


def images(count: int) -> Raw:
    """So many random pictures."""
    x = torch.randint(256, (count, PIXELS, PIXELS, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Raw(x.numpy(), (torch.arange(count) % 10).numpy(), 10)


def preparing(count: int) -> Callable[[], object]:
    """Preparing a data set and reading it again."""
    raw, spec = images(count), schema.Digits("digits", 0.2)

    def go() -> None:
        with TemporaryDirectory() as folder:
            prepare(raw, spec, Path(folder))
            Prepared(Path(folder))

    return go


def drawing(count: int) -> Callable[[], object]:
    """100 batches of a data set, a new shuffle in front of them."""

    class Many(Noise):
        def raw(self, _part: str, whole: bool = False) -> torch.Tensor:
            return torch.zeros(count, PIXELS, PIXELS, 1, dtype=torch.uint8)

        def labels(self, _part: str) -> torch.Tensor:
            return torch.zeros(count, dtype=torch.int64)

    many = Many((1, PIXELS, PIXELS), 10)

    def go() -> None:
        batches = Batches(many, 64, 0, 0.05)  # type: ignore[arg-type]
        for i in range(100):
            batches.at(i % (count // 64))

    return go


def resolving(runs: int) -> Callable[[], object]:
    """Asking DVC for the stages of a project with so many runs, and checking its declaration."""
    from dvc.repo import Repo

    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree["runs"] = {f"gan-{k}": tree["runs"]["gan"] for k in range(runs)}
    folder = TemporaryDirectory()
    for name, content in (("params.yaml", yaml.safe_dump(tree)), ("dvc.yaml", Path("dvc.yaml").read_text())):
        (Path(folder.name) / name).write_text(content)
    with contextlib.redirect_stderr(io.StringIO()):
        Repo.init(folder.name, no_scm=True)

    def go() -> None:
        load_params(Path(folder.name) / "params.yaml")
        assert len(list(Repo(folder.name).index.stages)) > 3 * runs

    return go


GROWTHS = (
    Growth("a training step", "side of the picture, pixels", (16, 32, 64, 128), step_at_side),
    Growth("a training step", "batch, samples", (16, 32, 64, 128, 256), step_at_batch),
    Growth("preparing and reading", "data set, samples of 28x28", (2_000, 8_000, 32_000, 128_000), preparing),
    Growth("100 batches", "data set, samples of 28x28", (2_000, 8_000, 32_000, 128_000), drawing),
    Growth("check, and the stages of DVC", "declared runs", (10, 20, 40, 80), resolving),
)


def measured(growth: Growth) -> list[float]:
    """Seconds at each size, the least of some repeats."""
    found = []
    for size in growth.sizes:
        go = growth.at(size)
        go()
        seconds = []
        for _ in range(REPEATS):
            begun = clock()
            go()
            seconds.append(clock() - begun)
        found.append(min(seconds))
    return found


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log time over log size by least squares, over the upper half, where small costs have faded."""
    start = len(sizes) // 2 - 1
    x, y = ([log(v) for v in values[start:]] for values in (sizes, seconds))
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / sum((a - middle_x) ** 2 for a in x)


def svg(rows: Sequence[dict[str, object]]) -> str:
    """One small log-log picture a cost, side by side, with a line of slope 1 for comparison."""
    width, height, gap = 260, 180, 20
    parts = []
    for k, row in enumerate(rows):
        sizes, seconds = row["sizes"], row["seconds"]
        assert isinstance(sizes, list)
        assert isinstance(seconds, list)
        low, high = log(sizes[0]), log(sizes[-1])
        bottom, top = log(min(seconds)), log(max(seconds)) + 1e-9
        top = max(top, bottom + (high - low))  # both axes at one scale, at least: slope 1 is the diagonal or flatter

        def place(size: float, second: float, span: tuple[float, ...] = (low, high, bottom, top)) -> str:
            x = (log(size) - span[0]) / (span[1] - span[0]) * width
            return f"{x:.1f},{height - (log(second) - span[2]) / (span[3] - span[2]) * height:.1f}"

        line = " ".join(place(a, b) for a, b in zip(sizes, seconds, strict=True))
        linear = f"{place(sizes[0], exp(bottom))} {place(sizes[-1], exp(bottom) * sizes[-1] / sizes[0])}"
        marks = "".join(
            "<circle r='3' fill='#1f77b4' cx='{}' cy='{}'/>".format(*place(a, b).split(","))
            for a, b in zip(sizes, seconds, strict=True)
        )
        said = f"{row['cost']} over {row['along']}"
        cost = f"{seconds[0] * 1e3:.3g} to {seconds[-1] * 1e3:.3g} ms"
        ends = f"{sizes[0]:,} to {sizes[-1]:,}: {cost}, exponent {row['exponent']:.2f}"
        parts.append(
            f"<g transform='translate({k * (width + gap) + 10},34)'><text y='-20' font-size='11'>{said}</text>"
            f"<text y='-6' font-size='11'>{ends}</text>"
            f"<rect width='{width}' height='{height}' fill='none' stroke='#ccc'/>"
            f"<polyline fill='none' stroke='#bbb' stroke-dasharray='4' points='{linear}'/>"
            f"<polyline fill='none' stroke='#1f77b4' stroke-width='2' points='{line}'/>{marks}</g>"
        )
    whole = len(rows) * (width + gap) + 10
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {whole} {height + 50}' font-family='sans-serif'>"
        f"<rect width='100%' height='100%' fill='white'/>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--threads", type=int, default=load_params().threads, help="as params.yaml has it, or others")
    threads = asked.parse_args().threads
    set_up(threads, "cpu")
    rows: list[dict[str, object]] = []
    for growth in GROWTHS:
        seconds = measured(growth)
        slope = exponent(growth.sizes, seconds)
        rows.append(
            {
                "cost": growth.name,
                "along": growth.along,
                "sizes": list(growth.sizes),
                "seconds": seconds,
                "exponent": slope,
            }
        )
        print(f"{growth.name} over {growth.along}: exponent {slope:.2f}", flush=True)
    files.write_json(RESULTS / "growth.json", {"machine": described(threads, "cpu"), "rows": rows})
    files.write(RESULTS / "growth.svg", svg(rows).encode())


if __name__ == "__main__":
    main()
