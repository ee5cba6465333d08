"""Models on a server: what each takes, and the requests of many clients in one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.core import latents
from gan_core.export.manifest import ModelEndpoint, endpoints_of, manifest_of
from gan_core.runtime.errors import InputError
from gan_core.serving import session
from gan_core.serving.client import Array, verified
from gan_core.serving.session import Runtime

Rows = dict[str, Array]
Batch = list[tuple[Rows, "asyncio.Future[Array]"]]
"""Requests, and where their answers are waited for."""
OF_SEEDS = ("seed", "central_mass")
"""Inputs of a seeded model that are none of its graph."""


@dataclass
class Model:
    """One endpoint that is ready. Of all models of a server one computes at a time, on every core."""

    endpoint: ModelEndpoint
    graph: Callable[[Mapping[str, Array]], Array]
    multiple: int
    """Open sides are multiples of it."""
    turn: asyncio.Lock
    """Held by whichever model computes."""
    executions: int = 0
    samples: int = 0
    waiting: Batch = field(default_factory=list)
    working: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        inputs = [i for i in self.endpoint.inputs if i.prior not in OF_SEEDS]
        self.described = [vars(i) | {"shape": ["batch", *i.shape]} for i in inputs]

    def checked(self, rows: Rows) -> Rows:
        """A request that can be computed, with any other that has the same names and shapes.

        Raises:
            InputError: what is wrong with it.
        """
        taken = self.endpoint.inputs
        if missing := [i.name for i in taken if not i.optional and i.name not in rows]:
            raise InputError(f"input '{missing[0]}' is missing")
        if len({len(value) for value in rows.values()}) > 1:
            raise InputError(f"the inputs disagree about the batch: {', '.join(str(len(v)) for v in rows.values())}")
        n = len(rows[taken[0].name])
        for i in (i for i in taken if -1 in i.shape):
            if self.endpoint.tiles:
                if said := self.endpoint.tiles.refusal(*rows[i.name].shape[1:3]):
                    raise InputError(said)
                continue
            sides = [side for side, dim in zip(rows[i.name].shape[1:], i.shape, strict=True) if dim == -1]
            if any(side % self.multiple for side in sides):
                raise InputError(f"input '{i.name}' has sides {sides}, and only multiples of {self.multiple} are taken")
        try:
            if self.endpoint.seeded:
                latents.checked(self.described, rows["seed"], without_seeds(rows), rows.get("central_mass"))
                return rows
            values = [(i, rows[i["name"]]) for i in self.described if not i["dtype"].startswith("uint")]
            return rows | {i["name"]: latents.validated(i | {"shape": v.shape}, v, n) for i, v in values}
        except ValueError as error:
            raise InputError(str(error)) from None

    def compute(self, requests: Sequence[Rows]) -> Array:
        """The outputs of requests of the same names and shapes, one behind another."""
        rows = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
        if self.endpoint.seeded:
            rows = latents.draw(self.described, rows["seed"], without_seeds(rows), rows.get("central_mass"))
        return self.graph(rows)

    async def __call__(self, rows: Rows) -> Array:
        """The output of a request that was checked."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((rows, future))
        if self.working is None or self.working.done():
            self.working = asyncio.create_task(self.work())
        return await asyncio.shield(future)  # whoever asked may leave; the others of the batch stay

    async def work(self) -> None:
        """Compute for as long as requests wait. What arrives while others are computed is computed in one go."""
        while self.waiting:
            if self.endpoint.tiles:  # takes its turn tile by tile: others need not wait for a photograph
                await self.settle(self.next_batch(), lambda requests: self.in_tiles(*requests))
                continue
            async with self.turn:
                await self.settle(self.next_batch(), lambda requests: asyncio.to_thread(self.compute, requests))

    async def settle(self, batch: Batch, answer: Callable[[Sequence[Rows]], Awaitable[Array]]) -> None:
        """Give each request of a batch its part of the answer, or what went wrong."""
        requests, futures = zip(*batch, strict=True)
        try:
            out = await answer(requests)
        except Exception as error:  # theirs, and the server goes on
            for future in futures:
                future.set_exception(error)
            return
        ends = np.cumsum([count(request) for request in requests])
        self.executions, self.samples = self.executions + 1, self.samples + int(ends[-1])
        for future, part in zip(futures, np.split(out, ends[:-1]), strict=True):
            future.set_result(part)

    async def in_tiles(self, rows: Rows) -> Array:
        """The output for one picture of any sides."""
        tiles, ((name, (picture,)),) = self.endpoint.tiles, rows.items()
        assert tiles
        pieces = tiles.pieces(picture)
        tile = await asyncio.to_thread(lambda: next(pieces))
        try:
            while True:
                async with self.turn:
                    (made,) = await asyncio.to_thread(self.graph, {name: np.ascontiguousarray(tile)[None]})
                tile = pieces.send(made)
        except StopIteration as done:
            return np.asarray(done.value)[None]

    def next_batch(self) -> Batch:
        """The first request that waits, and others that fit beside it into one batch."""
        batch, left, room = [], [], self.endpoint.max_batch_size
        kind = signature(self.waiting[0][0])
        for entry in self.waiting:
            if (n := count(entry[0])) <= room and signature(entry[0]) == kind:
                batch.append(entry)
                room -= n
            else:
                left.append(entry)
        self.waiting = left
        return batch


def count(rows: Rows) -> int:
    """Of samples."""
    return len(next(iter(rows.values())))


def signature(rows: Rows) -> frozenset[tuple[str, tuple[int, ...]]]:
    """Requests that have it in common can be one."""
    return frozenset((name, value.shape[1:]) for name, value in rows.items())


def without_seeds(rows: Rows) -> Rows:
    """What a request to a seeded model gives of the graph's inputs."""
    return {name: value for name, value in rows.items() if name not in OF_SEEDS}


def load(folders: Sequence[Path], runtime: Runtime) -> dict[str, Model]:
    """The models of exported folders by name.

    Raises:
        DataError: a folder holds no finished export, or a graph is not what its manifest describes.
        InputError: two of them have a model of one name.
    """
    models: dict[str, Model] = {}
    turn = asyncio.Lock()
    for folder in folders:
        for model in of_folder(folder, runtime, turn):
            if model.endpoint.name in models:
                raise InputError(f"two folders have a model '{model.endpoint.name}'; serve them apart")
            models[model.endpoint.name] = model
    return models


def of_folder(folder: Path, runtime: Runtime, turn: asyncio.Lock) -> Iterator[Model]:
    """Its endpoints, each graph loaded once.

    Raises:
        DataError: the folder holds no finished export, or a graph is not what its manifest describes.
    """
    manifest = manifest_of(folder)
    graphs: dict[str, Any] = {}
    for endpoint in endpoints_of(manifest):
        file = endpoint.graph
        if file not in graphs:
            graphs[file] = session.load(verified(folder, file, manifest["files"][file]), str(folder / file), runtime)
        yield Model(endpoint, graphs[file], manifest["roles"][endpoint.role]["size_multiple"], turn)
