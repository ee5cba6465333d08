"""Where a run's first weights came from, as its artefacts keep it and in words. No torch: reports read it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTE = "lineage"
"""Of an artefact's notes: ``path``; ``ancestors``, the nearest first, each with run, sha256 of its networks and of its
data; ``parts``: for each network ``weights`` that came over ``of`` all, tensors ``changed`` on the way and ``fresh``
ones; ``left``: networks of which nothing was asked for or there, and why."""

IMPORTED = "imported"
"""Of an artefact's notes, where a network was trained elsewhere: ``file`` and its ``sha256``; of a graph its ``opset``,
and what its inputs and output are called there."""


def of_import(origin: Mapping[str, Any]) -> str:
    """Where it came from, in words."""
    return f"imported from {origin['file']} (sha256 {origin['sha256'][:16]})"


def share(part: Mapping[str, Any]) -> str:
    """How much of a network came over."""
    weights, of = int(part["weights"]), int(part["of"])
    return "whole" if weights == of else f"{100 * weights / of:.3g} % of the weights"


def short(lineage: Mapping[str, Any]) -> str:
    """Whose networks they were, and how much of each came over."""
    parts = ", ".join(f"{name} {share(part)}" for name, part in lineage["parts"].items())
    return f"{lineage['ancestors'][0]['run']}: {parts}"


def sentences(lineage: Mapping[str, Any]) -> list[str]:
    """All of it, in words."""
    parent, *older = lineage["ancestors"]
    said = [
        f"Its first weights are those of run {parent['run']} ({lineage['path']}, sha256 {parent['sha256'][:16]}, "
        f"trained on data of sha256 {parent['data'][:16]})"
        + "".join(f", whose own were those of {one['run']} ({one['sha256'][:16]})" for one in older)
    ]
    for name, part in lineage["parts"].items():
        changed = f"; changed for other channels or classes: {', '.join(part['changed'])}" if part["changed"] else ""
        fresh = f"; drawn afresh: {', '.join(part['fresh'])}" if part["fresh"] else ""
        said.append(f"{name}: {share(part)} came over ({part['weights']:,} of {part['of']:,}){changed}{fresh}")
    said += [f"{name}: nothing came over, {why}" for name, why in lineage["left"].items()]
    return said
