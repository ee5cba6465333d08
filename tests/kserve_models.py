"""Holds InferenceServices against the models of KServe's Python package: all fields known, all values of their type.

Runs in an environment that has ``kserve`` and nothing of this project: ``make test-kserve``.
"""

import sys
from pathlib import Path

import kserve
import kubernetes.client
import yaml

PLAIN = {"str": str, "int": int, "bool": bool, "float": float, "object": object, "ResourceQuantity": str}


def check(value, kind, where):
    """Every mistake in a value that should be of the OpenAPI type ``kind``."""
    if kind.lower().startswith("list["):
        for k, item in enumerate(value):
            yield from check(item, kind[5:-1], f"{where}[{k}]")
    elif kind.lower().startswith("dict"):
        for key, item in value.items():
            yield from check(item, kind[5:-1].split(", ", 1)[1], f"{where}.{key}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{where}: {value!r} is no {kind}"
    elif kind != "IntstrIntOrString":
        yield from check_model(value, getattr(kserve, kind, None) or getattr(kubernetes.client, kind), where)


def check_model(value, model, where):
    """Every field that a model does not know, lacks, or knows to be of another type."""
    known = {name: (attribute, model.openapi_types[attribute]) for attribute, name in model.attribute_map.items()}
    yield from (f"{where}: no field {name!r} in {model.__name__}" for name in value if name not in known)
    for name, item in value.items():
        if name in known:
            yield from check(item, known[name][1], f"{where}.{name}")
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {model.__name__}"
    else:
        try:
            model(**{known[name][0]: item for name, item in value.items() if name in known})
        except ValueError as error:
            yield f"{where}: {error}"


def main():
    broken = {"spec": {"predictor": {"modle": {}}}}
    assert list(check_model(broken, kserve.V1beta1InferenceService, "")), "these models can refuse"
    for path in map(Path, sys.argv[1:]):
        found = list(check_model(yaml.safe_load(path.read_text()), kserve.V1beta1InferenceService, path.stem))
        print(f"{path}: {'; '.join(found) or 'every field is known and of its type'}")
        if found:
            sys.exit(1)


if __name__ == "__main__":
    main()
