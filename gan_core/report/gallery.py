"""What can be seen of a trained run: walks between latents, every class or code, nearest neighbours, round trips.

Which pictures a role has follows from its network's inputs alone, and every picture from fixed inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.core.artifact import Artifact
from gan_core.core.feature_names import SHOWN
from gan_core.core.inputs import LATENT, Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import Pixels, to_uint8
from gan_core.core.samples import Sample, Samples, alike, shrunk
from gan_core.metrics.batching import in_batches, rows_at_once
from gan_core.metrics.copying import both_ways, nearest_of
from gan_core.metrics.drawn import Drawn, counterpart
from gan_core.metrics.evaluate import Evaluation
from gan_core.metrics.measure import Reference
from gan_core.metrics.roles import l1, mapped
from gan_core.report import pictures

Picture = tuple[str, bytes]
"""What it shows, in a word, and the PNG."""
Values = Mapping[str, NDArray[Any]]

WALKS, STEPS = 8, 13
COLUMNS = 14
SIDE = 96
"""Larger images are shown so high or wide, but on the sheet of samples."""
POINTS = 2_500
"""So many of the training data are drawn, where they are points."""
MOST_VALUES = 20
TIMED = 1_000
"""So many of them beside each moment of training."""
SEARCHED, SEARCHED_FEW, PAIRS = 1_000, 256, 24
RANKED = 256
"""So many translations are ranked to show the worst."""
REACH: Mapping[str, float] = {"uniform": 1.0, "normal": 2.0}
"""How far a continuous code is swept to both sides."""


def pictures_of(
    role: str, trained: Mapping[str, Artifact], spaces: Mapping[str, Reference], data: Mapping[str, Any], seed: int
) -> Iterator[Picture]:
    """Every picture of a role that draws samples. ``data``: the prepared data set of every space."""
    artefact, domain = trained[role], data[trained[role].config.output_space]
    truth = domain.samples("train")[: 0 if domain.is_image else POINTS].numpy()
    sources = [i for i in artefact.config.inputs if i.is_data]
    if any(i.prior == LATENT for i in sources):
        yield "reconstruction", rebuilt_worst(role, trained, domain.samples("heldout"))
        return
    if sources:
        yield "translation", translation(role, trained, spaces, data, sources[0])
        return
    noise, *codes = latents_first(artefact.config.inputs)
    yield "interpolation", interpolation(artefact, noise, truth, seed)
    for code in codes:
        if domain.is_image or code.is_integer:
            yield f"traversal-{code.name}", traversal(artefact, code, truth, seed)
    if domain.is_image:
        yield "neighbours", neighbours(artefact, spaces[artefact.config.output_space], seed)
        if counterpart(trained, takes="x", makes="latent"):
            yield "reconstruction", reconstruction(rebuilding(role, trained), domain.samples("heldout")[:COLUMNS])


def samples(evaluation: Evaluation, truth: Samples) -> bytes:
    """The sheet of samples of a run, all roles together; of points the first role's, over the training data."""
    if evaluation.shown:
        return pictures.grid(np.stack(evaluation.shown), "Samples", "From fixed inputs, unchosen.")
    points, real = evaluation.points[0].numpy(), truth[:POINTS].numpy()
    return pictures.scatter(points, real, "Samples", "Over training data in grey.")


def latents_first(inputs: tuple[Input, ...]) -> list[Input]:
    """The noise, which is the first input that is not a whole number; then what else a sample is asked for by."""
    noise = next(i for i in inputs if not i.is_integer)
    return [noise, *(i for i in inputs if i is not noise)]


def drawn(artefact: Artifact, values: Values) -> Sample:
    """What the network makes of inputs, large images made small."""
    columns = [torch.from_numpy(values[i.name]) for i in artefact.config.inputs]
    rows = rows_at_once(artefact.config.shape)
    return in_batches(lambda *some: shrunk(artefact.network(*some), SIDE), *columns, rows=rows)


def pixels(x: Tensor) -> Pixels:
    """As a user sees them."""
    return to_uint8(x.numpy())


def take_rows(values: Values, rows: Any) -> dict[str, NDArray[Any]]:
    """Some rows of every input, in any order and as often as asked."""
    return {name: v[rows] for name, v in values.items()}


def between(prior: str, a: NDArray[Any], b: NDArray[Any], steps: int) -> NDArray[np.float32]:
    """From rows a to rows b (N, D) on what the prior calls a straight way: (N, steps, D).

    Normal latents lie near a sphere, so the way is the great circle (slerp; White 2016), and the radius goes evenly;
    uniform ones fill a cube, so it is the chord.
    """
    t = np.linspace(0, 1, steps)[None, :, None]
    a, b = a[:, None].astype(np.float64), b[:, None].astype(np.float64)
    if prior != "normal":
        return np.asarray((1 - t) * a + t * b, np.float32)
    long_a, long_b = (np.linalg.norm(x, axis=2, keepdims=True).clip(1e-12) for x in (a, b))
    angle = np.arccos((a / long_a * b / long_b).sum(2, keepdims=True).clip(-1, 1))
    sine = np.sin(angle)
    near = sine < 1e-6  # as good as parallel: there is no circle to follow
    share_a, share_b = (
        np.where(near, s, np.sin(s * angle) / np.where(near, 1, sine)) for s in (np.broadcast_to(1 - t, t.shape), t)
    )
    radius = (1 - t) * long_a + t * long_b
    return np.asarray((share_a * a / long_a + share_b * b / long_b) * radius, np.float32)


def interpolation(artefact: Artifact, noise: Input, truth: NDArray[np.float32], seed: int) -> bytes:
    """Walks between pairs of latents, everything else held."""
    image = artefact.config.is_image
    steps = STEPS if image else 200
    values = artefact.config.fixed_inputs(2 * WALKS, seed)
    walks = between(noise.prior, values[noise.name][:WALKS], values[noise.name][WALKS:], steps)
    fixed = take_rows(values, np.arange(WALKS).repeat(steps))
    for i in artefact.config.inputs:
        if i.is_integer:
            fixed[i.name] = np.arange(WALKS).repeat(steps) % i.size
    x = drawn(artefact, fixed | {noise.name: walks.reshape(WALKS * steps, -1)})
    way = "along the great circle" if noise.prior == "normal" else "straight"
    title, says = "Walks between latents", f"from one {noise.name} (left) to another (right), {way}; all else held"
    if image:
        return pictures.sheet(
            pixels(x), STEPS, title=title, says=f"Each row goes {says}. A jump is a gap between modes."
        )
    points, says = x.numpy(), f"{WALKS} walks go {says}, over training data in grey."
    if len(truth[0]) == 1:  # across: how far the walk has come
        reach = float(np.abs(truth).max())
        points = np.column_stack([np.tile(np.linspace(-reach, reach, steps, dtype=np.float32), WALKS), points])
        truth = np.column_stack([np.linspace(-reach, reach, len(truth), dtype=np.float32), truth])
        says += " What is drawn goes up, the way across."
    return pictures.scatter(points, truth, title, says)


def traversal(artefact: Artifact, code: Input, truth: NDArray[np.float32], seed: int) -> bytes:
    """What one input does while all others are held."""
    if not code.is_integer:
        return swept(artefact, code, seed)
    asked = np.unique(np.linspace(0, code.size - 1, min(code.size, MOST_VALUES)).astype(np.int64))
    title = f"Every {code.name}" if len(asked) == code.size else f"{len(asked)} of {code.size} values of {code.name}"
    if artefact.config.is_image:
        x = drawn(artefact, crossed(artefact.config, code, asked, COLUMNS, seed))
        says = f"A row is a value of {code.name}, a column one latent: rows should differ in kind, columns in style."
        return pictures.sheet(pixels(x), COLUMNS, [str(v) for v in asked], title=title, says=says)
    x = drawn(artefact, crossed(artefact.config, code, asked, 500, seed))
    draw = pictures.dots if len(truth[0]) > 1 else pictures.density
    clouds = np.stack([draw(cloud, truth, 150) for cloud in x.reshape(len(asked), 500, -1).numpy()])
    says = f"500 samples for each value of {code.name}, over the training data in grey."
    return pictures.sheet(clouds[..., None], 4, under=[str(v) for v in asked], title=title, says=says)


def crossed(config: NetworkConfig, code: Input, asked: NDArray[Any], each: int, seed: int) -> dict[str, NDArray[Any]]:
    """Every asked value of a code with each of the same fixed rows of everything else."""
    values = config.fixed_inputs(each, seed)
    return take_rows(values, np.tile(np.arange(each), len(asked))) | {code.name: asked.repeat(each, axis=0)}


def swept(artefact: Artifact, code: Input, seed: int) -> bytes:
    """Each number of a continuous code from one end to the other, for three latents, the code's other numbers at 0."""
    reach, latents = REACH[code.prior], 3
    marks = np.linspace(-reach, reach, COLUMNS - 1, dtype=np.float32)
    dimensions = range(min(code.size, MOST_VALUES // latents))
    ways = np.zeros((len(dimensions), latents, len(marks), code.size), np.float32)
    for d in dimensions:
        ways[d, :, :, d] = marks
    values = artefact.config.fixed_inputs(latents, seed)
    fixed = take_rows(values, np.tile(np.arange(latents).repeat(len(marks)), len(dimensions)))
    x = drawn(artefact, fixed | {code.name: ways.reshape(-1, code.size)})
    return pictures.sheet(
        pixels(x),
        len(marks),
        [f"{code.name} {d}" if k == 0 else "" for d in dimensions for k in range(latents)],
        [f"{m:+.1f}" for m in marks],
        title=f"Every {code.name}, swept",
        says=f"A row is one latent while one number of {code.name} goes from {-reach:g} to {reach:g}: "
        "along a row one thing should change, and only that.",
    )


def timeline(moments: Mapping[int, Sequence[Tensor]], data: Any) -> bytes:
    """Samples of every role from the same inputs, a row (of points: a panel) for each step of training."""
    steps, roles = [f"{step:,}" for step in moments], len(next(iter(moments.values())))
    title, says = "From the same inputs over time", "The number is the step of training; what is averaged is shown."
    if data.is_image:
        each = COLUMNS // roles
        shown = np.concatenate([x[:each].numpy() for drawn in moments.values() for x in drawn])
        return pictures.sheet(shown, each * roles, steps, title=title, says=says)
    truth = data.samples("train")[:TIMED].numpy()
    draw = pictures.dots if len(truth[0]) > 1 else pictures.density
    clouds = np.stack([draw(x.numpy(), truth, 150) for drawn in moments.values() for x in drawn])
    under = [step for step in steps for _ in range(roles)]
    return pictures.sheet(clouds[..., None], 4, under=under, title=title, says=says)


def neighbours(artefact: Artifact, reference: Reference, seed: int) -> bytes:
    """Samples beside the training samples nearest to them in the figures' features, from nearest to farthest."""
    count = SEARCHED_FEW if reference.network.costly else SEARCHED
    columns = artefact.config.fixed_columns(count, seed)
    x = Drawn(artefact.network, list(columns.values()), artefact.config.shape, artefact.config.bits)
    seen = both_ways(reference.network, x, reference.network(x), reference.train.flip)
    fake_at, fake_far = nearest_of(reference.network, seen, reference.train)
    real_far, _ = reference.fair
    order = np.argsort(fake_far, kind="stable")[np.linspace(0, len(x) - 1, PAIRS).astype(int)]
    left, right = (pixels(shrunk(x[rows], SIDE)) for x, rows in ((x, order), (reference.train.whole, fake_at[order])))
    seam = np.full((*left.shape[:2], 1, left.shape[3]), pictures.PAPER, np.uint8)
    return pictures.sheet(
        np.concatenate([left, seam, right], 2),
        6,
        under=[f"{d:.2f}" for d in fake_far[order]],
        title="Nearest in the training set",
        says=f"Pairs of a sample and the training sample nearest to it in {SHOWN[reference.network.name]} features, "
        f"with their distance, from the nearest of {len(x)} to the farthest. Median {np.median(fake_far):.2f}; "
        f"held-out real samples have {np.median(real_far):.2f}. Far smaller distances than theirs mean that it copies.",
    )


def translation(
    role: str, trained: Mapping[str, Artifact], spaces: Mapping[str, Reference], data: Mapping[str, Any], source: Input
) -> bytes:
    """Held-out samples, what becomes of them, what should, and what the way back makes of that."""
    given = data[source.prior].samples("heldout")
    targets = data[trained[role].config.output_space].samples("heldout") if data[source.prior].aligned else None
    order = worst_first(trained[role].network, given, targets) if targets else torch.arange(min(COLUMNS, len(given)))
    x = given[order]
    y = in_batches(trained[role].network, x)
    rows = {"given": x, role: y} | ({"truth": targets[order]} if targets else {})
    if truth := data[source.prior].index.get("translation"):
        rows["true map"] = mapped(x, truth, inverse=source.prior == "x_b")
    if back := counterpart(trained, takes=trained[role].config.output_space, makes=source.prior):
        rows["and back"] = in_batches(back.network, y)
    return pictures.sheet(
        np.concatenate([pixels(shrunk(alike(row, y.shape[2:]), SIDE)) for row in rows.values()]),
        len(x),
        list(rows),
        title=f"Translation {role}",
        says="Held-out samples and, below each, its translation"
        + ", then what it should be, those farthest from it first" * ("truth" in rows)
        + ", then the way back" * ("and back" in rows)
        + ".",
    )


def worst_first(network: Callable[[Tensor], Tensor], given: Samples, targets: Samples) -> Tensor:
    """Which of the first held-out sources come out worst, by the mean difference from their targets."""
    n = min(RANKED, len(given))
    error = in_batches(lambda x, t: l1(network(x), t), given[:n], targets[:n])
    return error.argsort(descending=True)[:COLUMNS]


def rebuilding(role: str, trained: Mapping[str, Artifact]) -> Callable[[Tensor], Tensor]:
    """Encoder and decoder one after the other."""
    encoder = counterpart(trained, takes="x", makes="latent")
    assert encoder is not None

    def rebuilt(x: Tensor, encode: nn.Module = encoder.network) -> Tensor:
        return in_batches(trained[role].network, in_batches(encode, x), rows=rows_at_once(x.shape[1:]))

    return rebuilt


def rebuilt_worst(role: str, trained: Mapping[str, Artifact], heldout: Samples) -> bytes:
    """The held-out samples of which least is left after both halves."""
    network = rebuilding(role, trained)
    order = worst_first(network, heldout, heldout)
    return reconstruction(network, heldout[order], ", those farthest from it first")


def reconstruction(network: Callable[[Tensor], Tensor], x: Sample, order: str = "") -> bytes:
    """Held-out samples, and what is left of them after both halves; ``order``: what it says of theirs."""
    y = network(x)
    return pictures.sheet(
        np.concatenate([pixels(shrunk(x, SIDE)), pixels(shrunk(y, SIDE))]),
        len(x),
        ["given", "rebuilt"],
        title="Reconstruction",
        says=f"Held-out samples and, below each, what encoder and decoder make of it{order}.",
    )
