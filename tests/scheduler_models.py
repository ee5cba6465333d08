"""Holds what ``gan cluster write`` gives against the schemas of SkyPilot and the models of Kubeflow Trainer.

Runs in an environment that has ``skypilot`` and ``kubeflow-trainer-api`` and nothing of this project:
``make test-schedulers``.
"""

import sys
from pathlib import Path

import jsonschema
import yaml
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob
from sky.utils import schemas


def of_skypilot(task):
    """Every mistake in a task, and in the sections of it that have schemas of their own."""
    for schema, value in ((schemas.get_task_schema(), task), (schemas.get_resources_schema(), task["resources"])):
        validator = jsonschema.validators.validator_for(schema)(schema)
        yield from (error.message for error in validator.iter_errors(value))


def of_kubeflow(job):
    """What a TrainJob is no more once it was read by its model: unknown fields are dropped, wrong types refused."""
    try:
        read = TrainerV1alpha1TrainJob.from_dict(job).to_dict()
    except ValueError as error:
        yield str(error)
    else:
        if read != job:
            yield f"read as {read}"


def main():
    for path in map(Path, sys.argv[1:]):
        content = yaml.safe_load(path.read_text())
        is_job = content.get("kind") == "TrainJob"
        mistakes = of_kubeflow if is_job else of_skypilot
        found = list(mistakes(content))
        print(f"{path}: {'; '.join(found) or 'every field is known and of its type'}")
        if found:
            sys.exit(1)
        (content["spec"]["trainer"] if is_job else content["resources"])["cpuss"] = 1
        assert list(mistakes(content)), "these models can refuse"


if __name__ == "__main__":
    main()
