"""What editors, programs and shells are told: the schema of params.yaml, ``check --json``, exit codes, completion."""

from __future__ import annotations

import argparse
import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from gan_core import __main__
from gan_core.config import json_schema, meanings, papers
from gan_core.config.checker import Checker, Mistake, Mistaken
from gan_core.config.load import typed
from gan_core.propose import append
from gan_core.report import reference
from gan_core.runtime import errors
from tests.conftest import DECLARED, ROOT, SMALL_FILE

SCHEMA, VALIDATOR = json_schema.build(), Draft7Validator(json_schema.build())
OWN = {
    "path": "tests", "labels": {"table": "faces.csv", "label": "emotion"}, "heldout": 0.2, "size": [16, 20],
    "channels": 3, "fit": "crop", "background": 0, "on_bad_image": "skip", "spelling": "folded", "bits": 16,
    "range": [0, 4095],
}  # fmt: skip


@cache
def declared() -> Any:
    """A declaration that has every section, a schedule, an adaptive strength, and each way to say labels and range."""
    tree: Any = Checker(SMALL_FILE).parse()
    tree["runs"] = {name: tree["runs"][name] for name in ("gan", "vae_gan")}
    tree["datasets"]["shapes"] = {
        "source": "shapes", "size": 12, "kinds": ["disc"], "shift_x": 1, "shift_y": 0.5, "count": 99, "seed": 0,
        "heldout": 0.2,
    }  # fmt: skip
    two = {
        "domains": ["a", "b"],
        "labels": False,
        "heldout": "official",
        "size": 16,
        "range": "measured",
        "spelling": None,
    }
    tree["images"] = {"mine": OWN, "two": OWN | two, "table": OWN | {"labels": "faces.CSV", "range": None}}
    adaptive = {"policy": ["flip", "cutout"], "p": {"target": 0.6, "images": 500, "aside": 0.1}}
    tree["runs"]["gan"] |= {"augment": adaptive, "settings": {"r1": {"start": 1.0, "end": 0.1, "images": 900}}}
    init = {"path": "players/vae_gan", "parts": ["encoder"], "freeze": {"encoder": ["body.0"]}}
    tree["warm_starts"] = {"kid": tree["runs"]["vae_gan"] | {"init": init, "settings": {"margin": 0.35}}}
    return tree


def mistakes(tree: Any) -> list[Mistake]:
    """What ``gan check`` says of a declaration."""
    checker = Checker(SMALL_FILE)
    try:
        typed(checker, tree)
    except Mistaken as mistaken:
        return list(mistaken.mistakes)
    return []


def test_what_is_committed_is_what_is_generated() -> None:
    """`gan schema > docs/params.schema.json; gan schema --page > docs/params.md`."""
    assert json.loads((ROOT / "docs/params.schema.json").read_text()) == SCHEMA
    assert (ROOT / "docs/params.md").read_text() == reference.page()
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", [ROOT / "params.yaml", DECLARED, SMALL_FILE])
def test_declarations_are_valid(path: Path) -> None:
    VALIDATOR.validate(Checker(path).parse())


def places(tree: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree."""
    yield where
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*where, key))


GONE, MORE = object(), object()
VALUES: tuple[Any, ...] = (GONE, MORE, None, True, "word", "", -1, 1.5, 10**20, [], ["word"], {})


def changed(tree: Any, where: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place, without it, or with one more key in it."""
    made = copy.deepcopy(tree)
    at = made
    for key in where[:-1] if value is not MORE else where:
        at = at[key]
    if value is MORE and isinstance(at, dict):
        at["more"] = 1
    elif value is GONE and isinstance(at, dict):
        del at[where[-1]]
    elif value not in (GONE, MORE):
        at[where[-1]] = value
    return made


UNSEEN = (
    "'.*' is not one of",  # names of other entries
    "is the name of|starts from|which has .*; this run has|is not among parts|holds no networks|use one family",
    "which has no|which has one domain|draws images only|cannot draw|for variant|has no labels|needs them",
    "needs a latent|rebuilds real samples|translates real samples|changes pictures|is what a discriminator sees",
    "adapts to the sign",
    "must divide batch_size|which does not divide|must sum to 1|one number a weight|at most size / 4|the lower first",
    "below min_steps|must lie between|without any code|needs classes, and labels|must name the file of weights",
    "one of those that|does not declare|is installed: results of another|neither ~ nor|where commands write",
)
"""What only ``gan check`` sees, as its sentences have it; docs/params.md lists it for people."""


def test_the_schema_and_the_checker_refuse_the_same() -> None:
    """Each key of a declaration is taken out, is given values of every type, and each mapping is given one more."""
    whole = declared()
    assert not mistakes(whole)
    assert VALIDATOR.is_valid(whole)
    refused = 0
    for where in list(places(whole))[1:]:
        for value in VALUES:
            tree = changed(whole, where, value)
            said, seen = mistakes(tree), not VALIDATOR.is_valid(tree)
            assert said or not seen, f"only the schema refuses {where} as {value}"
            unsaid = [str(m) for m in said if not any(re.search(words, m.message) for words in UNSEEN)]
            assert seen or not unsaid, f"only gan check refuses {where} as {value}: {unsaid}"
            refused += seen
    assert refused > 1000


def test_every_key_says_what_it_means() -> None:
    """A paper's new symbol needs a comment behind it, or a row in meanings.py; and no row is of what is not there."""
    tables = {"settings": (papers.variants(), meanings.SYMBOLS), "family": (papers.families(), meanings.OPTIONS)}
    for kind, (owners, table) in tables.items():
        keys = {owner: SCHEMA["$defs"][f"{kind}_{owner}"]["properties"] for owner in owners}
        for owner, symbols in keys.items():
            assert all(symbol["description"].endswith(".") for symbol in symbols.values()), owner
        there = {f"{owner}.{symbol}" for owner, symbols in keys.items() for symbol in symbols}
        shared = {symbol for symbols in keys.values() for symbol in symbols}
        assert set(table) <= there | shared
    quiet = [
        k for name in ("train", "init", "augment", "engines", "tolerance") for k, v in properties(name) if not words(v)
    ]
    assert quiet == []


def properties(name: str) -> Any:
    return SCHEMA["$defs"][name]["properties"].items()


def words(node: Any) -> str:
    return str(node.get("description", ""))


def test_pictures_that_are_declared_for_you_keep_the_line_that_editors_read(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    line, _, _ = text.partition("\n")
    assert line == "# yaml-language-server: $schema=docs/params.schema.json"
    (tmp_path / "params.yaml").write_text(text)
    made = append.written(tmp_path / "params.yaml", {"images": ("mine", f"  mine: {json.dumps(OWN)}\n")})
    assert made.startswith(f"{line}\n")
    (tmp_path / "params.yaml").write_text(made)
    VALIDATOR.validate(Checker(tmp_path / "params.yaml").parse())


def checked(folder: Path, *more: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gan_core", "check", *more], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_hears_the_same_as_a_person(tmp_path: Path) -> None:
    """All mistakes at once; then what is not there; then what is left; each with the same exit code."""
    good = SMALL_FILE.read_text()
    wrong = good.replace("opset: 20", "opset: 1").replace("steps: 60", "stps: 60")
    nowhere = good.replace("images: {}", f"images: {json.dumps({'d': OWN | {'path': 'nowhere'}})}")
    for text, code, keys in (
        (wrong, 2, {"runs.gan.train.stps", "export.opset"}),
        ("runs: [", 2, {""}),
        (nowhere, 3, {"images.d.path"}),
    ):
        (tmp_path / "params.yaml").write_text(text)
        found = checked(tmp_path, "--json")
        told, said = json.loads(found[1]), checked(tmp_path)
        assert (found[0], said[0], found[2], told["ok"]) == (code, code, "", False)
        assert {mistake["where"] for mistake in told["mistakes"]} == keys
        assert all(f"{m['where']} {m['message']}".strip() in said[2] for m in told["mistakes"])
        assert len(told["mistakes"]) == len(said[2].splitlines())
    (tmp_path / "params.yaml").write_text(good)
    (tmp_path / "exported/old").mkdir(parents=True)
    code, out, _ = checked(tmp_path, "--json")
    assert code == 0
    assert json.loads(out) == {"ok": True, "mistakes": [], "runs": 6, "datasets": 4, "left_over": ["exported/old"]}


def test_exit_codes_are_said_where_people_look() -> None:
    kinds = errors.FoundryError.__subclasses__()
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    help_text, page = __main__.parser().format_help(), (ROOT / "docs/commands.md").read_text()
    for kind in kinds:
        assert f" {kind.exit_code} {kind.__doc__} " in " ".join(help_text.split())
        assert f"| {kind.exit_code} | {kind.__doc__} |" in page


def test_the_page_of_commands_names_each_with_its_options() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    for action in __main__.arguments_of(__main__.parser()):
        for name in (
            action.choices or () if isinstance(action, argparse._SubParsersAction) else action.option_strings[-1:]
        ):
            assert f"`{name}" in page or f"`gan {name}" in page, name


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    program = subprocess.run(
        [sys.executable, "-m", "gan_core", "completion", shell], capture_output=True, text=True, check=True
    ).stdout
    assert subprocess.run([shell, "-n"], input=program, text=True).returncode == 0
    if shell == "bash":
        ask = f"{program}\nCOMP_WORDS=(gan fo); COMP_CWORD=1; _shtab_gan; echo ${{COMPREPLY[@]}}"
        assert subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout.split() == ["forecast"]
