"""Mutates images, containers and declarations, again and again, and counts how each ends.

``make fuzz`` runs 2,000 trials. Allowed ends: a data set of the declared form, a declaration of the declared types, or
one clear sentence (a ``FoundryError`` of one line; of ``params.yaml``, one line a mistake). Anything else (exception,
a hang, a count or a shape that does not add up) is a failure, and its input is kept.

A mutation flips bits, overwrites, cuts, repeats or inserts, in one place or in several; of texts it also takes out,
doubles and exchanges lines and words.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gan_core.config.load import load_params
from gan_core.runtime.errors import FoundryError
from tests import test_images as made
from tests.conftest import DECLARED as DECLARATION
from tests.test_images import CONTAINERS, OFFICIAL, SPEC, prepare

PATIENCE = 20
"""Seconds before a trial counts as a hang."""
IMAGES = {
    "png": (made.png(made.RAMP), "fuzz.png"),
    "16-bit png": (made.deep(made.RAMP.astype("uint16") * 257), "fuzz.png"),
    "palette png": (made.saved(made.Image.fromarray(made.RED).quantize(4), "PNG"), "fuzz.png"),
    **{
        kind.lower(): (made.saved(made.Image.fromarray(made.RED), kind), f"fuzz.{kind.lower()}")
        for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    },
}


def mutate(content: bytes, choose: random.Random) -> bytes:
    """The same, changed in one to five places."""
    changed = bytearray(content)
    for _ in range(choose.choice([1, 1, 1, 2, 5])):
        at, size = choose.randrange(len(changed) + 1), choose.choice([1, 1, 2, 4, 16])
        piece = changed[at : at + size]
        kind = choose.randrange(7)
        if kind == 0 and piece:
            changed[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            changed[at : at + size] = choose.randbytes(len(piece))
        elif kind == 2:
            changed[at : at + size] = bytes([choose.choice([0, 0xFF, 0x7F, 0x80])]) * len(piece)
        elif kind == 3:
            del changed[at : at + size]
        elif kind == 4:
            changed[at:at] = piece * choose.choice([1, 2, 50])
        elif kind == 5:
            changed[at:at] = choose.randbytes(size)
        elif choose.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def mutate_text(text: str, choose: random.Random) -> str:
    """The same declaration with lines, keys and values taken out, doubled, exchanged or replaced."""
    lines = text.splitlines()
    odd = [
        "null",
        "-1",
        "1e999",
        ".nan",
        "[]",
        "{}",
        "'x'",
        "!!python/name:os.system",
        "${oc.env:HOME}",
        "*a",
        "&a b",
        "2.5",
    ]
    for _ in range(choose.choice([1, 1, 2, 4])):
        k = choose.randrange(len(lines))
        words = lines[k].split(" ")
        kind = choose.randrange(6)
        if kind == 0:
            del lines[k]
        elif kind == 1:
            lines.insert(choose.randrange(len(lines)), lines[k])
        elif kind == 2:
            words[choose.randrange(len(words))] = choose.choice(odd)
        elif kind == 3:
            words[choose.randrange(len(words))] = choose.choice(choose.choice(lines).split(" ") or [""])
        elif kind == 4:
            words.insert(0, " " * choose.randrange(4))
        else:
            lines[k] = mutate(lines[k].encode(), choose).decode("utf-8", "replace")
            continue
        if kind in (2, 3, 4):
            lines[k] = " ".join(words)
        lines = lines or [""]
    return "\n".join(lines) + "\n"


def image(folder: Path, choose: random.Random) -> tuple[str, Path]:
    """One mutated image among 400 good ones: they are packed, and it is packed too, or counted as skipped."""
    kind = choose.choice(list(IMAGES))
    content, name = IMAGES[kind]
    path = made.as_folder(folder / "d", [*made.members(), (f"0/{name}", mutate(content, choose))])
    spec = replace(
        SPEC, fit=choose.choice(["crop", "pad", "exact"]), channels=choose.choice([1, 3]), on_bad_image="skip"
    )
    found = prepare(spec, path, folder / "out").read().index["found"]
    assert (found["packed"], found["skipped"]) in ((401, 0), (400, 1)), found
    return kind, folder / "d" / "0" / name


def container(folder: Path, choose: random.Random) -> tuple[str, Path]:
    """One mutated file of a container: a whole set, or a sentence."""
    kind = choose.choice([name for name in CONTAINERS if name != "folder"])
    path = CONTAINERS[kind](folder)
    file = path if path.is_file() else choose.choice(sorted(p for p in path.rglob("*") if p.is_file()))
    file.write_bytes(mutate(file.read_bytes(), choose))
    FAILED_ON[:] = [kind, file]
    data = prepare(replace(OFFICIAL, on_bad_image=choose.choice(["skip", "error"])), path, folder / "out").read()
    counts, found = data.index["counts"], data.index["found"]
    assert found["packed"] == sum(counts.values()) == found["images"] - found["skipped"]
    for part, count in counts.items():
        assert data.raw(part).shape == (count, 8, 8, 1)
        labels = data.labels(part)
        assert labels is not None and len(labels) == count
        assert labels.min() >= 0 and labels.max() < data.classes
    return kind, file


def declaration(folder: Path, choose: random.Random) -> tuple[str, Path]:
    """A mutated params.yaml: typed values, or sentences with the file and a line each."""
    path = folder / "params.yaml"
    path.write_text(mutate_text(DECLARED, choose))
    FAILED_ON[:] = ["params.yaml", path]
    params = load_params(path)
    assert all(run.dataset in params.datasets | params.images for run in params.runs.values())
    return "params.yaml", path


DECLARED = DECLARATION.read_text().replace(
    "images: {}",
    "images:\n  own: {path: pictures, labels: true, heldout: official, size: 32, channels: 3, fit: crop, "
    "background: 0, on_bad_image: skip}",
)
KINDS: list[Callable[[Path, random.Random], tuple[str, Path]]] = [image, container, container, declaration]
FAILED_ON: list[object] = []


def too_long(*_: object) -> None:
    raise TimeoutError(f"more than {PATIENCE} s")


def trial(folder: Path, seed: str) -> tuple[str, str]:
    """How one trial ended: what was mutated, and ``read``, ``refused`` or the traceback of a failure."""
    choose = random.Random(seed)
    work = choose.choice(KINDS)
    FAILED_ON[:] = [work.__name__, folder]
    signal.alarm(PATIENCE)
    try:
        kind, _ = work(folder, choose)
        return kind, "read"
    except FoundryError as error:
        lines = str(error).splitlines()
        whole = len(lines) == 1 or (work is declaration and all(":" in line for line in lines))
        return str(FAILED_ON[0]), "refused" if whole and lines[0] else f"no sentence: {error}"
    except BaseException:
        return str(FAILED_ON[0]), traceback.format_exc()
    finally:
        signal.alarm(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-failures")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    ends: Counter[tuple[str, str]] = Counter()
    failures = 0
    print(f"seed {arguments.seed}", flush=True)
    for k in range(arguments.trials):
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        kind, end = trial(folder, f"{arguments.seed}/{k}")
        ends[kind, end if end in ("read", "refused") else "FAILED"] += 1
        if end not in ("read", "refused"):
            failures += 1
            print(f"trial {k}, {kind}, kept in {arguments.keep / str(k)}:\n{end}", flush=True)
            shutil.copytree(folder, arguments.keep / str(k), dirs_exist_ok=True)
        shutil.rmtree(folder)
        if k % 200 == 199:
            print(f"{k + 1} trials, {failures} failures", flush=True)
    for kind in sorted({kind for kind, _ in ends}):
        print(f"{kind:>12}: " + ", ".join(f"{n} {end}" for (of, end), n in sorted(ends.items()) if of == kind))
    good = arguments.trials - failures
    print(f"{good} of {arguments.trials} mutated inputs ended in a correct result or one clear sentence")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
