"""A full disk, a read-only folder, a killed process, two at once: what is left of data and weights.

``make chaos`` runs it after the kills. Each trial has a good earlier result, meets its fault, and must then hold three
things: the command ends in one sentence (or well, if the fault came too late), the earlier result is whole, and the
same command without the fault ends in the bytes of an undisturbed run. A full disk is a tmpfs of a random size, a
read-only folder a read-only mount, both in a namespace of their own; where the kernel allows none, these trials are
left out, and that is said.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from tests import test_images as made
from tests.chaos import children
from tests.conftest import Workspace

PREPARE = ["python", "-m", "stages.prepare_images", "pictures"]
TRAIN = ["python", "-m", "stages.train", "own"]
MADE = {"prepare": ("data",), "train": ("models", "reports/own")}


def digest(folder: Path, *below: str) -> str:
    """One digest of all files below some folders, hidden ones included."""
    found = sorted(p for name in below for p in (folder / name).rglob("*") if p.is_file())
    return sha256(b"".join(str(p.relative_to(folder)).encode() + p.read_bytes() for p in found)).hexdigest()[:16]


def one_sentence(code: int, said: str) -> str:
    """Nothing, or why this is no way to end."""
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    return (
        "" if code in (0, 3, 4) and "Traceback" not in said and len(errors) == (code != 0) else f"exit {code}: {said}"
    )


def ended(pid: int) -> bool:
    """Whether a process is over, if only nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def mounted(workspace: Workspace, mount: str, command: list[str], below: tuple[str, ...]) -> tuple[int, str, str]:
    """Run a command where a mount holds: exit code, what it said, and the digest of what was there afterwards."""
    look = f"from pathlib import Path; from tests.faults import digest; print(digest(Path('.'), *{below!r}))"
    script = f'{mount}; "$@" >/dev/null; code=$?; python -c "{look}"; exit $code'
    done = workspace.run("unshare", "-rm", "sh", "-c", script, "sh", *command)
    return done.returncode, done.stderr, done.stdout.strip()


def trial(work: str, kind: str, workspace: Workspace, choose: random.Random, before: str, length: float) -> str:
    """Nothing, or what went wrong."""
    command, below = (PREPARE, MADE["prepare"]) if work == "prepare" else (TRAIN, MADE["train"])
    if kind in ("full disk", "read-only folder"):
        top = below[0]
        size = sum(p.stat().st_size for p in (workspace.folder / top).rglob("*") if p.is_file()) >> 10
        room = size + 8 + choose.randrange(size)
        mount = (
            f"mount -t tmpfs -o size={room}k tmpfs /mnt && cp -a {top}/. /mnt/ && mount --bind /mnt {top}"
            if kind == "full disk"
            else f"mount --bind {top} {top} && mount -o remount,ro,bind {top}"
        )
        code, said, after = mounted(workspace, mount, command, below)
        if wrong := one_sentence(code, said):
            return wrong
        return "" if after == before or code == 0 else f"the earlier result is not whole: {said}"
    if kind == "two at once":
        both = [workspace.start(*command) for _ in range(2)]
        codes = [process.wait() for process in both]
        if 0 not in codes or set(codes) - {0, 4}:
            return f"ended in {codes}"
        return ""
    process = workspace.start(*command)
    time.sleep(choose.uniform(0, length))
    workers = children(process.pid)
    victim = choose.choice([process.pid, *workers])
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while alive := [pid for pid in workers if pid in children(1) and not ended(pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return f"left running: {alive}" if alive else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    kinds = ["killed", "two at once"]
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0:
        kinds += ["full disk", "read-only folder"]
    else:
        print("no namespaces here: full disks and read-only folders are left out")
    failures, counts = 0, Counter[str]()
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        template = Workspace(Path(scratch) / "template")
        pictures = {"path": "pictures", "labels": True, "heldout": 0.2, "size": 8, "channels": 1, "fit": "exact"}
        own = {"variant": "gan", "dataset": "pictures", "network": {"family": "mlp", "width": 32, "latent": 8}}
        template.declare(
            {"images": {"pictures": pictures | {"background": 0, "on_bad_image": "error"}}}
            | {"runs": {"own": own | {"train": {"steps": 300}}}}
        )
        files = [(f"{n.replace('.png', '')}-{k}.png", f) for k in range(11) for n, f in made.members()]
        made.as_folder(template.folder / "pictures", files)
        lengths = {}
        for work, command in (("prepare", PREPARE), ("train", TRAIN)):
            begun = time.monotonic()
            done = template.run(*command)
            lengths[work] = time.monotonic() - begun
            if done.returncode:
                raise SystemExit(done.stderr)
        before = {work: digest(template.folder, *below) for work, below in MADE.items()}
        print(
            f"seed {arguments.seed}; undisturbed: {before}, { ({k: round(v, 1) for k, v in lengths.items()}) } s",
            flush=True,
        )
        for k in range(arguments.trials):
            work, kind = ("prepare", "prepare", "train")[k % 3], kinds[k % len(kinds)]
            workspace = Workspace.at(Path(scratch) / f"trial-{k}")
            shutil.copytree(template.folder, workspace.folder, symlinks=True)
            wrong = trial(work, kind, workspace, choose, before[work], lengths[work])
            if not wrong:
                again = workspace.run(*(PREPARE if work == "prepare" else TRAIN))
                after = digest(workspace.folder, *MADE[work])
                wrong = again.stderr if again.returncode else "" if after == before[work] else f"other bytes: {after}"
            failures += bool(wrong)
            counts[f"{kind} ({work})"] += 1
            print(
                f"{k + 1:3} {work}, {kind}: {'whole, and equal after' if not wrong else f'WRONG: {wrong}'}", flush=True
            )
            shutil.rmtree(workspace.folder)
    print(", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    print(f"{arguments.trials - failures} of {arguments.trials} faults lost nothing and left nothing silently wrong")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
