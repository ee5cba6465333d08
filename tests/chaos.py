"""Kills training at random points, again and again, and counts how often the final bytes are the same all the same.

``make chaos`` runs 20 trials: each starts ``dvc repro`` on a small project, kills the trainer or dvc itself with
SIGKILL or SIGTERM once or twice at random moments, then lets it finish. In between the newest saved state may be torn,
the clock may jump (every file is of another year), and what follows may have one core instead of all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import yaml

from tests.conftest import Workspace

RUNS: dict[str, object] = {
    "gan": {
        "variant": "gan",
        "dataset": "digits",
        "network": {"family": "dcgan", "width": 16, "latent": 16},
        "train": {"steps": 250},
    },
    "wgan_gp": {
        "variant": "wgan_gp",
        "dataset": "digits",
        "network": {"family": "mlp", "width": 64, "latent": 16},
        "train": {"steps": 250},
    },
}


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def final_bytes(folder: Path) -> dict[str, str]:
    """The digest of each file that training made, and of what DVC wrote down about them."""
    reports = [p for name in ("loss.csv", "progress.csv", "health.json") for p in folder.glob(f"reports/*/{name}")]
    made = sorted([*folder.glob("models/**/*.safetensors"), *reports])
    lock = json.dumps(yaml.safe_load((folder / "dvc.lock").read_text()), sort_keys=True)  # the order of runs is free
    content = {str(p.relative_to(folder)): p.read_bytes() for p in made} | {"dvc.lock": lock.encode()}
    return {name: sha256(each).hexdigest()[:16] for name, each in content.items()}


def on(cores: str | None) -> list[str]:
    """The words before a command that lend it only these cores."""
    return ["taskset", "-c", cores] if cores else []


def meddle(folder: Path, choose: random.Random) -> list[str]:
    """What else goes wrong while nothing runs; each thing in words."""
    said = []
    states = sorted(folder.glob(".state/*/*/step-*.state"))
    if states and choose.random() < 0.4:
        newest = max(states, key=lambda p: (p.parts[-3] == choose.choice(list(RUNS)), p.name))
        content = bytearray(newest.read_bytes())
        if choose.random() < 0.5:
            del content[choose.randrange(len(content)) :]
        else:
            content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
        newest.write_bytes(bytes(content))
        said.append(f"{newest.name} torn")
    if choose.random() < 0.3:
        year = choose.choice([1990, 2050])
        for path in folder.rglob("*"):
            if path.is_file() and ".dvc" not in path.parts and ".git" not in path.parts:
                os.utime(path, ((year - 1970) * 31_557_600,) * 2)
        said.append(f"the clock jumped to {year}")
    return said


def finish(workspace: Workspace, cores: str | None = None) -> list[str]:
    """Run it to the end, as DVC says how; what a person had to do for it, in words."""
    done = workspace.run(*on(cores), "dvc", "repro", *(f"train@{run}" for run in RUNS))
    if "Unable to read RWLock-file" in done.stderr:  # DVC was killed while it wrote this file; `check` says what to do
        (workspace.folder / ".dvc/tmp/rwlock").unlink()
        return ["DVC's lock removed", *finish(workspace, cores)]
    if done.returncode:
        raise SystemExit(f"dvc repro failed after a kill:\n{done.stdout}{done.stderr}")
    return []


def trial(template: Path, folder: Path, choose: random.Random, length: float) -> tuple[dict[str, str], list[str]]:
    """One trial: the digests at the end, and what was killed when."""
    shutil.copytree(template, folder, symlinks=True)
    workspace = Workspace.at(folder)
    kills: list[str] = []
    cores = choose.choice([None, "0"])
    for _ in range(choose.choice([1, 1, 2])):
        process = workspace.start(*on(cores), "dvc", "repro", *(f"train@{run}" for run in RUNS))
        wait = choose.uniform(0.05, length)
        try:
            process.wait(wait)
            break  # finished before it could be killed
        except subprocess.TimeoutExpired:
            pass
        trainers = children(process.pid)
        who = choose.choice(["trainer", "dvc"]) if trainers else "dvc"
        how = choose.choice([signal.SIGKILL, signal.SIGTERM])
        os.kill(trainers[0] if who == "trainer" else process.pid, how)
        kills.append(f"{who} {how.name} after {wait:.1f} s")
        process.wait()
        kills += meddle(folder, choose)
        cores = choose.choice([None, "0"])
    kills += finish(workspace, cores)
    left = [p for p in folder.rglob(".state/**/*") if p.suffix in (".state", ".tmp")]
    if len({p.parent for p in left}) < len(left) or any(p.suffix == ".tmp" for p in left):
        raise SystemExit(f"left behind: {left}, and of a finished run one state stays")
    return final_bytes(folder), kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        template = Workspace(Path(scratch) / "template")
        template.declare({"runs": RUNS})
        if template.run("dvc", "repro", "prepare@digits").returncode:
            raise SystemExit("preparing the data failed")
        whole = Workspace.at(Path(scratch) / "whole")
        shutil.copytree(template.folder, whole.folder, symlinks=True)
        begun = time.monotonic()
        finish(whole)
        length = time.monotonic() - begun
        expected = final_bytes(whole.folder)
        print(f"seed {arguments.seed}; undisturbed: {length:.1f} s, {len(expected)} files", flush=True)
        equal = killed = torn = 0
        for k in range(1, arguments.trials + 1):
            folder = Path(scratch) / f"trial-{k}"
            got, kills = trial(template.folder, folder, choose, length)
            equal += got == expected
            killed += sum(" after " in what for what in kills)
            torn += sum("torn" in what for what in kills)
            other = [name for name, digest in got.items() if digest != expected[name]]
            verdict = f"DIFFERENT in {', '.join(other)}" if other else "equal"
            print(f"{k:3} {verdict}: {', '.join(kills) or 'ran through'}", flush=True)
            shutil.rmtree(folder)
    print(f"{equal} of {arguments.trials} trials ended in the same bytes, after {killed} kills and {torn} torn states")
    sys.exit(equal != arguments.trials)


if __name__ == "__main__":
    main()
