"""A run under several seeds: an entry of the declaration each, which ``gan compare`` takes as one experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gan_core.config.checker import Checker
from gan_core.config.load import find, load_params
from gan_core.config.places import WARM
from gan_core.config.schema import Params, Run
from gan_core.propose import append
from gan_core.propose.entry import Value, text
from gan_core.runtime import files
from gan_core.runtime.errors import InputError


def declare(path: Path, names: Sequence[str], seeds: Sequence[int]) -> tuple[list[str], list[str]]:
    """Write the entries that are lacking into a declaration; returns the runs that are meant, and the new ones of them.

    A run is itself the entry of its own seed; that of another one is called ``<run>-<seed>``.

    Raises:
        InputError: there is no such run, or another one has such a name.
    """
    params, tree, content = load_params(path), Checker(path).parse(), path.read_text()
    wanted = [one for name in names for one in of_seeds(params, name, seeds)]
    new = [(name, entry, seed) for name, entry, seed in wanted if entry not in params.runs]
    for name, entry, seed in new:
        section = WARM if params.runs[name].init else "runs"
        declared = {**tree[section][name], "train": {**tree[section][name].get("train", {}), "seed": seed}}
        values = {key: Value(value) for key, value in declared.items()}
        lines = text(entry, values, f"{name} with another seed", append.indent_of(content, section))
        content = append.added(content, section, lines)
    append.parsed(path, content)
    if new:
        files.write(path, content.encode())
    return list(dict.fromkeys(entry for _, entry, _ in wanted)), [entry for _, entry, _ in new]


def of_seeds(params: Params, name: str, seeds: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """A run, its entry of each seed, and the seed.

    Raises:
        InputError: there is no such run, or an entry of that name is another run.
    """
    run = find(params.runs, name, "run")
    for seed in dict.fromkeys(seeds):
        entry = name if seed == run.train.seed else f"{name}-{seed}"
        if entry in params.runs and params.runs[entry].to_json() != with_seed(run, seed):
            raise InputError(f"'{entry}' is declared, and is not '{name}' with seed {seed}; `gan rename` it first")
        yield name, entry, seed


def with_seed(run: Run, seed: int) -> dict[str, Any]:
    """A run as plain values, with a seed."""
    declared = run.to_json()
    return {**declared, "train": {**declared["train"], "seed": seed}}
