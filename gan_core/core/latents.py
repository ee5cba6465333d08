"""Latents as a function of a seed: one row, one seed; the same bits in any batch, on any machine, with any NumPy.

The bits come from a counter-based generator, Philox-4x32-10 (Salmon et al. 2011): the key is the row's seed, the
counter is the place within the row and the input's name. So nothing depends on the rows beside it, on what was drawn
before, or on NumPy's own generators. Normal numbers are the inverse of the normal distribution (Wichura 1988, AS 241)
at the middle of one of 2^52 equal steps, in operations that IEEE 754 rounds in one way only, then rounded to float32.

It needs NumPy and nothing else, so a copy of this file is the first step of the seeded model on a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

DRAWN, GIVEN = ("normal", "uniform", "category"), ("label",)
"""Priors that a seed draws, and those that it does not choose; all others are data."""

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)[:, None, None]
WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)[:, None]
ROUNDS = 10

CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
     1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
     687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
TAIL = (
    (7.7454501427834140764e-4, 2.27238449892691845833e-2, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 1.51986665636164571966e-2, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.2426609473880784386e-3, 2.6532189526576123093e-2,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     1.48753612908506148525e-2, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip
SERIES = tuple(1 / k for k in range(27, 0, -2))
"""Of artanh(s)/s in powers of s squared."""
LN2, SQRT_HALF = 0.6931471805599453, 0.7071067811865476


def draw(
    inputs: Sequence[Mapping[str, Any]], seeds: Any, given: Mapping[str, Any] | None = None, central_mass: Any = None
) -> dict[str, Array]:
    """A row of every input for every seed. What is ``given`` is taken; a label must be, for a seed does not choose it.

    ``inputs`` are described as in manifest.json: name, prior, size and shape. ``central_mass``, above 0 and at most 1,
    is the central share of the normal distribution to draw from: 0.95 keeps within 1.96 of 0, 0.68 within 1. It is one
    number, or one a row; None and 1 are the whole distribution.

    Raises:
        ValueError: what is wrong with the request, in one sentence.
    """
    seeds, rows, share = checked(inputs, seeds, given or {}, central_mass)
    key = seeds.view(np.uint64)
    return {i["name"]: rows[i["name"]] if i["name"] in rows else drawn(i, key, share) for i in inputs}


def checked(
    inputs: Sequence[Mapping[str, Any]], seeds: Any, given: Mapping[str, Any], central_mass: Any = None
) -> tuple[Array, dict[str, Array], Array]:
    """A request as arrays: a seed a row, the rows that are given, and a central mass a row.

    Raises:
        ValueError: what is wrong with it.
    """
    key = np.atleast_1d(np.asarray(seeds))
    if key.ndim != 1 or not len(key) or key.dtype.kind not in "iu" or key.dtype == np.uint64:
        raise ValueError("seeds are whole numbers from -2^63 to 2^63 - 1, one a sample and at least one")
    if unknown := [name for name in given if name not in {i["name"] for i in inputs}]:
        raise ValueError(f"there is no input '{unknown[0]}', only {', '.join(i['name'] for i in inputs)}")
    rows = {i["name"]: validated(i, given[i["name"]], len(key)) for i in inputs if i["name"] in given}
    left = [i for i in inputs if i["name"] not in rows]
    for i in left:
        if i["prior"] in GIVEN:
            raise ValueError(f"'{i['name']}' is a label: give whole numbers from 0 to {i['size'] - 1}")
        if i["prior"] not in DRAWN:
            raise ValueError(f"'{i['name']}' is data: no seed draws it")
    share = np.asarray(1 if central_mass is None else central_mass, np.float32)
    if share.size not in (1, len(key)) or not ((share > 0) & (share <= 1)).all():
        raise ValueError("central_mass is above 0 and at most 1, one number or one a seed")
    if central_mass is not None and not any(i["prior"] == "normal" for i in left):
        raise ValueError("central_mass is of normal latents, and none is drawn here")
    return key.astype(np.int64), rows, np.broadcast_to(share.ravel(), len(key))


def validated(i: Mapping[str, Any], value: Any, n: int) -> Array:
    """The rows of an input that are given, or one row for all.

    Raises:
        ValueError: their type, shape or values are not what the input takes.
    """
    name, rows, shape = i["name"], np.asarray(value), (n, *i["shape"][1:])
    try:
        rows = np.broadcast_to(rows, shape)
    except ValueError:
        raise ValueError(f"'{name}' has shape {list(rows.shape)}, not {list(shape)}") from None
    if i["prior"] in ("label", "category"):
        if rows.dtype.kind not in "iu" or not ((rows >= 0) & (rows < i["size"])).all():
            raise ValueError(f"'{name}' takes whole numbers from 0 to {i['size'] - 1}")
        return rows.astype(np.int64)
    if rows.dtype.kind not in "fiu" or not (np.abs(rows) <= np.finfo(np.float32).max).all():
        raise ValueError(f"'{name}' takes finite numbers")
    return rows.astype(np.float32)


def drawn(i: Mapping[str, Any], key: Words, share: Array) -> Array:
    """Rows of one input from its prior: ``normal``, ``uniform`` on (-1, 1), or a ``category`` below its size."""
    name, prior, size = i["name"], i["prior"], i["size"]
    if prior == "category":
        return ((bits(key, name, 1)[:, 0] >> HALF) * np.uint64(size) >> HALF).astype(np.int64)
    places = centred(bits(key, name, size))
    return (quantile(places * share[:, None]) if prior == "normal" else places * 2).astype(np.float32)


def bits(key: Words, name: str, size: int) -> Words:
    """``size`` times 64 random bits for every key."""
    counter = np.zeros((4, 1, -(-size // 2)), np.uint64)
    counter[0], counter[1] = np.arange(counter.shape[2]), crc32(name.encode())
    a, b, c, d = philox(counter, np.stack([key & LOW, key >> HALF]))
    return np.stack([a | b << HALF, c | d << HALF], 2).reshape(len(key), -1)[:, :size]


def philox(counter: Words, key: Words) -> tuple[Words, Words, Words, Words]:
    """Philox-4x32-10: four words of 32 random bits from a counter of four (4, 1, M) and, by row, a key of two (2, N).

    The two halves of a round are computed side by side: small requests cost as much as there are operations.
    """
    keys = key + WEYL * np.arange(ROUNDS, dtype=np.uint64)[:, None, None] & LOW
    even, odd = counter[::2], counter[1::2]
    for k in keys[..., None]:
        product = MULTIPLIERS * even
        even, odd = (product >> HALF)[::-1] ^ odd ^ k, (product & LOW)[::-1]
    return even[0], odd[0], even[1], odd[1]


def centred(words: Words) -> Floats:
    """The middles of 2^52 equal steps of (-0.5, 0.5)."""
    places: Floats = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52 - 0.5
    return places


def quantile(q: Floats) -> Floats:
    """The normal number below which a share 0.5 + q of all lies."""
    flat = q.ravel()
    z = flat * ratio(CENTRE, 0.180625 - flat * flat)
    tail = np.flatnonzero(np.abs(flat) > 0.425)
    r = np.sqrt(-log(0.5 - np.abs(flat[tail])))
    z[tail] = np.copysign(ratio(TAIL, r - 1.6), flat[tail])
    if (far := r > 5).any():  # of one seed in ten milliards
        z[tail[far]] = np.copysign(ratio(FAR, r[far] - 5), flat[tail[far]])
    return z.reshape(q.shape)


def ratio(of: tuple[Iterable[float], Iterable[float]], x: Floats) -> Floats:
    """A quotient of two polynomials."""
    quotient: Floats = polynomial(of[0], x) / polynomial(of[1], x)
    return quotient


def polynomial(coefficients: Iterable[float], x: Floats) -> Floats:
    """Highest power first (Horner)."""
    first, *others = coefficients
    value = np.full_like(x, first)
    for c in others:
        value *= x
        value += c
    return value


def log(x: Floats) -> Floats:
    """The natural logarithm; the last bits of a library's own differ between machines."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < SQRT_HALF
    mantissa, exponent = np.where(small, mantissa * 2, mantissa), exponent - small
    s = (mantissa - 1) / (mantissa + 1)
    value: Floats = exponent * LN2 + 2 * s * polynomial(SERIES, s * s)
    return value


class TritonPythonModel:
    """The step of a server's seeded model that turns seeds into latents (Triton's python backend)."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read from its configuration which inputs to draw."""
        self.inputs = json.loads(json.loads(args["model_config"])["parameters"]["inputs"]["string_value"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """An answer to each request; those that give the same inputs are drawn in one go."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for k, request in enumerate(requests):
            groups.setdefault(tuple(sorted(t.name() for t in request.inputs())), []).append(k)
        answers: dict[int, Any] = {}
        for members in groups.values():
            answers |= zip(members, self.answer([requests[k] for k in members]), strict=True)
        return [answers[k] for k in range(len(requests))]

    def answer(self, requests: Sequence[Any]) -> list[Any]:
        """Answers to requests that give the same inputs. What is wrong with one of them only that one is told."""
        import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found] # is only inside the server

        sent = [{t.name(): t.as_numpy() for t in request.inputs()} for request in requests]
        ends = np.cumsum([len(values["seed"]) for values in sent])[:-1]
        joined = {name: np.concatenate([values[name] for values in sent]) for name in sent[0]}
        seeds, central_mass = joined.pop("seed"), joined.pop("central_mass", None)
        bare = {i["name"] for i in self.inputs if len(i["shape"]) == 1}
        given = {name: value[:, 0] if name in bare else value for name, value in joined.items()}
        try:
            latents = draw(self.inputs, seeds[:, 0], given, central_mass)
        except ValueError as error:
            if len(requests) > 1:
                return [self.answer([request])[0] for request in requests]
            refusal = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
            return [pb_utils.InferenceResponse(error=refusal)]
        columns = {name: value[:, None] if name in bare else value for name, value in latents.items()}
        parts = zip(*(np.split(value, ends) for value in columns.values()), strict=True)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(name, v) for name, v in zip(columns, part, strict=True)])
            for part in parts
        ]
