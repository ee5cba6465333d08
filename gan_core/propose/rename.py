"""A run under another name: its entry in params.yaml, its finished training, and what is saved of an unfinished one.

DVC knows a run by its name, so under another one it would train again. A training does not depend on its name; what it
left says the name, and is rewritten to what a training under the new name leaves.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from gan_core.config import clean, load, places
from gan_core.config.rules import NAME
from gan_core.config.schema import Params
from gan_core.core import artifact
from gan_core.propose import append
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, InputError
from gan_core.runtime.process import exclusive_lock

TABLES = ("loss.csv", "progress.csv", "health.json")
"""What a training leaves in the folder of a run's report."""
STATE = Path(".state")


def rename(params: Path, old: str, new: str) -> bool:
    """Rename a run of this folder's project; whether its training came along.

    Raises:
        InputError: there is no such run, the new name cannot be had, or another entry names the old one.
        DataError: something of an earlier run of the new name is there, or DVC fails.
        EnvironmentFailure: the run is being trained.
    """
    declared = load.load_params(params)
    refuse(declared, old, new)
    section = places.WARM if declared.runs[old].init else "runs"
    stage = "train_warm" if section == places.WARM else "train"
    text = renamed(params, section, old, new)
    there = places.left_over(Path(), declared.shipped, [*declared.datasets, *declared.images])
    if taken := [str(path) for path in there if places.name_of(path) == new]:
        raise DataError(
            f"{', '.join(taken)}: left by an earlier run '{new}'; `gan clean` removes it, or take another name"
        )
    finished = up_to_date(f"{stage}@{old}")
    if (STATE / old).is_dir():
        with exclusive_lock(STATE / old):
            move(params, text, old, new, finished)
            (STATE / old).rename(STATE / new)
    else:
        move(params, text, old, new, finished)
    if finished:
        clean.dvc(Path(), "commit", "--force", "--quiet", f"{stage}@{new}")
    return finished


def refuse(declared: Params, old: str, new: str) -> None:
    """Say why a run cannot be renamed.

    Raises:
        InputError: it cannot.
    """
    load.find(declared.runs, old, "run")
    if not NAME.fullmatch(new) or yaml.safe_load(new) != new:
        raise InputError(f"'{new}' is no name: use lower-case letters, digits, '_' and '-', and no number or yes or no")
    if new in declared.shipped:
        raise InputError(f"there is a run '{new}' already; give another name")
    parents = {name: places.networks_of(run.init.path, Path()) for name, run in declared.runs.items() if run.init}
    if children := [name for name, parent in parents.items() if parent and parent[0] == old]:
        raise InputError(
            f"{', '.join(children)} starts from the networks of '{old}', and would be trained again; to rename it all "
            "the same, edit params.yaml by hand"
        )
    if old in declared.export.engines.here:
        raise InputError(f"export.engines.here names '{old}'; take it out, rename, and put '{new}' in")


def renamed(params: Path, section: str, old: str, new: str) -> str:
    """The text of a declaration with the key of a run changed, and nothing else."""
    text = params.read_text()
    _, entries = append.section_of(text, section)
    assert isinstance(entries, yaml.MappingNode)
    key = next(key for key, _ in entries.value if key.value == old)
    changed = f"{text[: key.start_mark.index]}{new}{text[key.end_mark.index :]}"
    before, after = append.parsed(params, text), append.parsed(params, changed)
    before[section] = {new if name == old else name: entry for name, entry in before[section].items()}
    assert before == after, f"{params} is read as something else after that"
    return changed


def up_to_date(stage: str) -> bool:
    """Whether DVC finds that a stage has run, and that nothing it depends on has changed."""
    said = json.loads(clean.dvc(Path(), "status", "--json", stage))
    return not said


def move(params: Path, text: str, old: str, new: str, finished: bool) -> None:
    """Write what the training left under the new name, then the declaration; what stood there stays until both are."""
    if finished:
        for folder in (Path("models"), Path("players")):
            with files.replacing(folder / new) as made:
                shutil.copytree(folder / old, made, dirs_exist_ok=True)
                for path in [p for p in made.rglob("*.safetensors") if p.parent.name != "monitor"]:
                    found = artifact.load(path)
                    path.unlink()
                    artifact.save(path, found.network, found.config, {**found.notes, "run": new})
        for name in TABLES:
            files.write(Path("reports") / new / name, (Path("reports") / old / name).read_bytes())
    files.write(params, text.encode())
