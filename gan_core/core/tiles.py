"""Pictures through a network in tiles: the pixels of the whole picture, in memory that does not grow with it.

It needs NumPy and nothing else, so a copy of this file is a server's model that takes pictures of any sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Span = tuple[slice, slice, slice]
"""What a tile sees of a side, what of its answer is kept, and where that goes."""
Tile = tuple[tuple[slice, slice], tuple[slice, slice], tuple[slice, slice]]
"""The same of rows and columns."""
CORE = 512
"""Pixels of a tile's side that are kept, where nobody asks for others."""
MOST = 1 << 26
"""Pixels, filled up and enlarged, of the largest picture that a server computes: it holds it a few times."""


def spans(size: int, core: int, margin: int) -> Iterator[Span]:
    """The tiles of a side of ``size`` pixels: ``core`` are kept of each, and it sees so many more on both sides."""
    for start in range(0, size, core):
        low, high, end = max(0, start - margin), min(size, start + core + margin), min(size, start + core)
        yield slice(low, high), slice(start - low, end - low), slice(start, end)


@dataclass(frozen=True)
class Tiles:
    """How a network is given a picture in parts.

    A tile sees as far beyond what is kept as the network does, and begins where the network halves evenly, so nothing
    of the picture is lost at its edges.
    """

    reach: int
    """How far from a pixel lies what it depends on."""
    multiple: int
    """Sides are multiples of this, from twice it up."""
    scale: int = 1
    """How many times as high and wide comes out as went in."""
    core: int = CORE
    """Pixels of a tile's side that are kept, rounded up to ``multiple``."""

    def over(self, high: int, wide: int) -> Iterator[Tile]:
        """The tiles of a picture whose sides are multiples of ``multiple``."""
        margin, core = (-(-pixels // self.multiple) * self.multiple for pixels in (self.reach, self.core))
        for rows, kept_rows, to_rows in spans(high, core, margin):
            for columns, kept_columns, to_columns in spans(wide, core, margin):
                kept, to = (kept_rows, kept_columns), (to_rows, to_columns)
                yield (rows, columns), self.enlarged(kept), self.enlarged(to)

    def enlarged(self, parts: tuple[slice, slice]) -> tuple[slice, slice]:
        """A part of the picture as a part of what comes out."""
        rows, columns = (slice(self.scale * part.start, self.scale * part.stop) for part in parts)
        return rows, columns

    def refusal(self, high: int, wide: int) -> str:
        """Why a server computes no picture of these sides; empty, if it does."""
        if not high * wide:
            return "a picture has at least one pixel"
        filled_up = self.scale**2 * multiple_of(high, self.multiple) * multiple_of(wide, self.multiple)
        if filled_up > MOST:
            return f"a picture of {wide}x{high} pixels becomes one of {filled_up:,} here, and {MOST:,} are the most"
        return ""

    def pieces(self, picture: Pixels) -> Generator[Pixels, Pixels, Pixels]:
        """A picture (H, W, C) of any sides: gives its tiles, is sent what each becomes, and returns the whole of that.

        It is filled up to sides that the network takes, and what was added is cut off again.
        """
        given, found = filled(picture, self.multiple), None
        for seen, kept, to in self.over(*given.shape[:2]):
            made = yield given[seen]
            if found is None:
                found = np.empty((*(self.scale * side for side in given.shape[:2]), made.shape[2]), made.dtype)
            found[to] = made[kept]
        assert found is not None
        return found[: self.scale * picture.shape[0], : self.scale * picture.shape[1]]

    def __call__(self, compute: Callable[[Pixels], Pixels], picture: Pixels) -> Pixels:
        """The same, tile by tile through a function."""
        pieces = self.pieces(picture)
        try:
            tile = next(pieces)
            while True:
                tile = pieces.send(compute(tile))
        except StopIteration as done:
            return np.asarray(done.value)


def multiple_of(side: int, multiple: int) -> int:
    """The least side that a network takes and that is no smaller."""
    return max(2 * multiple, -(-side // multiple) * multiple)


def filled(picture: Pixels, multiple: int) -> Pixels:
    """A picture (H, W, C) filled up to sides that a network takes, at the bottom and on the right, by mirroring."""
    added = [multiple_of(side, multiple) - side for side in picture.shape[:2]]
    return np.pad(picture, [(0, added[0]), (0, added[1]), (0, 0)], mode="symmetric") if any(added) else picture


class TritonPythonModel:
    """A server's model that takes one picture of any sides and asks another for its tiles (Triton's python backend)."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read from its configuration which model computes, and how tiles are cut."""
        config = json.loads(args["model_config"])
        self.model: str = config["parameters"]["of"]["string_value"]
        self.tiles = Tiles(**json.loads(config["parameters"]["tiles"]["string_value"]))
        self.input, self.output = config["input"][0]["name"], config["output"][0]["name"]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """An answer to each request."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        """The whole picture (1, H, W, C), or why there is none."""
        import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found] # is only inside the server

        (picture,) = pb_utils.get_input_tensor_by_name(request, self.input).as_numpy()
        if said := self.tiles.refusal(*picture.shape[:2]):
            refusal = pb_utils.TritonError(said, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=refusal)

        def compute(tile: Pixels) -> Pixels:
            asked = pb_utils.InferenceRequest(
                model_name=self.model,
                inputs=[pb_utils.Tensor(self.input, np.ascontiguousarray(tile)[None])],
                requested_output_names=[self.output],
                preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
            )
            got = asked.exec()
            if got.has_error():
                raise pb_utils.TritonModelException(got.error().message())
            (made,) = pb_utils.get_output_tensor_by_name(got, self.output).as_numpy()
            return np.asarray(made)

        try:
            out = self.tiles(compute, picture)
        except pb_utils.TritonModelException as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(self.output, np.ascontiguousarray(out)[None])])
