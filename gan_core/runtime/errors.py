"""The four ways a run can fail for a reason a person can act on, and how a command reports them."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path


class FoundryError(Exception):
    """A failure with one clear sentence: what is wrong, where, and what to do."""

    exit_code = 1


class InputError(FoundryError):
    """The declaration (params.yaml, a command line) is wrong."""

    exit_code = 2


class DataError(FoundryError):
    """A data set, checkpoint or artefact is missing, corrupt or refused by a gate."""

    exit_code = 3


class EnvironmentFailure(FoundryError):
    """The machine lacks something: a library, disk space, a free port, a lock."""

    exit_code = 4


class NumericsError(FoundryError):
    """The numbers went wrong: NaN or infinity."""

    exit_code = 5


def first_line(error: BaseException) -> str:
    """What an exception says, in a line; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a sentence that names what was probably meant; nothing, if no known name is ``cutoff`` alike."""
    close = difflib.get_close_matches(name, list(known), 1, cutoff)
    return f"; did you mean {close[0]}?" if close else ""


def run(command: Callable[..., None], *names: str) -> None:
    """Run a command with the command line's arguments, of which ``names`` are expected.

    A failure a person can act on ends in one sentence and its exit code, not in a traceback.

    ``GAN_DEBUG=1`` shows the traceback.
    """
    given = sys.argv[1:] if names else []
    try:
        if len(given) != len(names):
            usage, file = " ".join(f"<{name}>" for name in names), Path(sys.argv[0])
            module = f"{file.parent.name}.{file.stem}"
            raise InputError(f"{len(given)} arguments given; usage: python -m {module} {usage}")
        command(*given)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # whoever read what we print has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (FoundryError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("GAN_DEBUG"):
            raise
        failure = translate(error)
        print(f"error: {failure}", file=sys.stderr)
        raise SystemExit(failure.exit_code) from None


def require(*packages: str) -> None:
    """End the process with one sentence if a package is not installed for this Python."""
    for name in packages:
        if find_spec(name) is None:
            failure = translate(ModuleNotFoundError(name=name))
            print(f"error: {failure}", file=sys.stderr)
            raise SystemExit(failure.exit_code)


def translate(error: Exception) -> FoundryError:
    """Say what the operating system or the import system said, as a FoundryError."""
    if isinstance(error, FoundryError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return EnvironmentFailure(
            f"the Python package '{error.name}' is not installed in {sys.prefix}; "
            "run `make repro` once, or `source .venv/bin/activate` before `dvc repro`"
        )
    where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return EnvironmentFailure(f"{text}{where}; mend that and run the same command again, nothing finished is lost")
