"""Files by which other schedulers run what ``gan cluster run`` gives to Ray: a workspace a job, its stages in order.

A job that is begun again goes on from its last saved state, so a scheduler needs to know no more than that it may.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gan_core.cluster.job import Job
from gan_core.cluster.node import REPRO
from gan_core.cluster.resources import Resources
from gan_core.runtime import files

MOUNTED = Path("/work")
"""Where containers see the work folder."""
NOTE = "Written by `gan cluster write {kind}`, for {what}; its form is checked, but it was not run by such a scheduler."
WARNED = 120
"""Seconds before the end of its time in which a job of Slurm saves its state and is queued again."""

SLURM = """\
#!/bin/bash
# {note}
# Begin: sbatch {name}; then: gan cluster fetch
#SBATCH --job-name=gan-foundry
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={cpus}{gpus}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{warned}
#SBATCH --output={logs}/slurm-%A_%a.log
jobs=({jobs})
stages=({stages})
job=${{jobs[$SLURM_ARRAY_TASK_ID]}}
make_job() {{
  {commands}
}}
queue_again() {{
  kill -TERM -- -"$group" # the training saves its state
  while kill -0 -- -"$group" 2> /dev/null; do sleep 0.2; done
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
}}
set -m # the job is a process group of its own
make_job &
group=$!
trap queue_again USR1
wait "$group"
"""


@dataclass(frozen=True)
class Place:
    """Where jobs find Python with the project's packages, and containers the work folder."""

    environment: Path
    """A folder that every machine sees: of Slurm."""
    image: str
    """A container image: of the others."""
    volume: str
    """A volume, or a claim of one."""


def commands(folder: str, stages: str) -> list[str]:
    """What a job does, commands of a shell; ``stages``: its words. The lock is of a machine that was lost."""
    return [
        f"cd {folder}",
        "rm -f .dvc/tmp/rwlock",
        f"python -m {' '.join(REPRO)} {stages}",
    ]


def in_container(job: Job) -> str:
    """What a job does, as one line of a shell."""
    return " && ".join(commands(f"{MOUNTED}/workspaces/{job.name}", " ".join(job.stages)))


def slurm(jobs: Sequence[Job], out: Path, wanted: Resources, place: Place) -> list[Path]:
    """One script with an array of all jobs."""
    work, path = jobs[0].work, out / "slurm.sh"
    inside = commands(f'{shlex.quote(str(work / "workspaces"))}/"$job"', "${stages[$SLURM_ARRAY_TASK_ID]}")
    inside.insert(0, f'export PATH={shlex.quote(str(place.environment / "bin"))}:"$PATH"')
    text = SLURM.format(
        note=NOTE.format(kind="slurm", what=", ".join(job.name for job in jobs)),
        name=path,
        last=len(jobs) - 1,
        cpus=wanted.cpus,
        gpus=f"\n#SBATCH --gpus-per-task={wanted.gpus}" if wanted.gpus else "",
        warned=WARNED,
        logs=work / "logs",
        jobs=" ".join(job.name for job in jobs),
        stages=" ".join(f"'{' '.join(job.stages)}'" for job in jobs),
        commands=" &&\n  ".join(inside),
    )
    (work / "logs").mkdir(parents=True, exist_ok=True)
    files.write(path, text.encode())
    return [path]


def skypilot(jobs: Sequence[Job], out: Path, wanted: Resources, place: Place) -> list[Path]:
    """A managed job each: `sky jobs launch FILE` begins it again where its machine is lost."""
    return [
        write_yaml(out / f"skypilot-{job.name}.yaml", "skypilot", job, sky_task(job, wanted, place)) for job in jobs
    ]


def sky_task(job: Job, wanted: Resources, place: Place) -> dict[str, Any]:
    """A task of SkyPilot, with the volume that has the work folder."""
    resources: dict[str, Any] = {"cpus": f"{wanted.cpus}+", "image_id": f"docker:{place.image}"}
    if wanted.gpus:
        resources["accelerators"] = {"H100": wanted.gpus}
    return {
        "name": kebab(job.name),
        "resources": resources,
        "volumes": {str(MOUNTED): place.volume},
        "run": in_container(job),
    }


def kubeflow(jobs: Sequence[Job], out: Path, wanted: Resources, place: Place) -> list[Path]:
    """A TrainJob each: `kubectl apply -f FILE`."""
    return [
        write_yaml(out / f"kubeflow-{job.name}.yaml", "kubeflow", job, train_job(job, wanted, place)) for job in jobs
    ]


def train_job(job: Job, wanted: Resources, place: Place) -> dict[str, Any]:
    """A TrainJob of Kubeflow Trainer, with the persistent volume claim that has the work folder."""
    amounts = {"cpu": str(wanted.cpus)} | ({"nvidia.com/gpu": str(wanted.gpus)} if wanted.gpus else {})
    pod = {
        "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": place.volume}}],
        "containers": [{"name": "node", "volumeMounts": [{"name": "work", "mountPath": str(MOUNTED)}]}],
    }
    replicated = [{"name": "node", "template": {"spec": {"template": {"spec": pod}}}}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": kebab(job.name)},
        "spec": {
            "runtimeRef": {"name": "torch-distributed"},
            "trainer": {
                "image": place.image,
                "command": ["bash", "-c", in_container(job)],
                "numNodes": 1,
                "resourcesPerNode": {"requests": amounts, "limits": {**amounts}},
            },
            "runtimePatches": [
                {
                    "manager": "gan-foundry/cluster",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": replicated}}},
                }
            ],
        },
    }


def kebab(name: str) -> str:
    """A name as Kubernetes takes it."""
    return name.replace("_", "-").strip("-")


def write_yaml(path: Path, kind: str, job: Job, content: Mapping[str, Any]) -> Path:
    """A file with its note."""
    text = f"# {NOTE.format(kind=kind, what=job.name)}\n{yaml.safe_dump(dict(content), sort_keys=False, width=1000)}"
    files.write(path, text.encode())
    return path


KINDS: dict[str, Callable[[Sequence[Job], Path, Resources, Place], list[Path]]] = {
    "slurm": slurm,
    "skypilot": skypilot,
    "kubeflow": kubeflow,
}
