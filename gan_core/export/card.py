"""The README of an exported folder: what it is, how good it is, how to call it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

CARD = """# {run}

Variant `{variant}`, trained for {steps} steps on data set `{dataset}` ({licence}).

![samples](samples.png)

{roles}
A server that speaks KServe v2 takes the `curl` lines (NVIDIA Triton loads `model_repository/` as it is; without a GPU
add `--model-config-name=cpu`). Every file's sha256, what was measured against which tolerance, and where the weights
came from: `manifest.json`.
"""

ROLE = """## {role}

{does}

Input{plural}: {inputs}. Output: {output}. Batches of 1 to {largest}.

{figures}With nothing but `onnxruntime` and `numpy`:

```python
{python}
```

On a server:

```sh
curl -s localhost:8000/v2/models/{run}_{role}/infer -H 'Content-Type: application/json' \\
  -d {request}
```
"""

FIGURES = """| measure | value |
| --- | --- |
{rows}

Protocol: {protocol}.

"""

LONG = 64
"""So many numbers are still written out."""

DRAW = {
    "normal": "rng.standard_normal((16, {n}), dtype=np.float32)",
    "uniform": "rng.random((16, {n}), dtype=np.float32) * 2 - 1",
    "label": "np.arange(16, dtype=np.int64) % {n}",
    "category": "np.arange(16, dtype=np.int64) % {n}",
}


def card(manifest: Mapping[str, Any], index: Mapping[str, Any]) -> str:
    """The README of one run's exported folder."""
    notes = next(iter(manifest["roles"].values()))["provenance"]["notes"]
    image = index["kind"] == "image"
    return CARD.format(
        run=manifest["run"],
        variant=notes["variant"],
        steps=notes["steps"],
        dataset=manifest["dataset"],
        licence=index["licence"],
        roles="\n".join(section(name, role, manifest, image) for name, role in manifest["roles"].items()),
    )


def section(name: str, role: Mapping[str, Any], manifest: Mapping[str, Any], image: bool) -> str:
    """One role."""
    inputs, recipe = role["inputs"], role["provenance"]["recipe"]
    draws = recipe["gives"] in ("sample", "other")
    output = f"`{role['output']['name']}` float32 {role['output']['shape']}"
    if image and draws:
        output += f" in [-1, 1]; `{name}.uint8.onnx` gives pixels, height x width x channels"
    return ROLE.format(
        role=name,
        run=manifest["run"],
        does=does(inputs, recipe["gives"], "image" if image else "point"),
        plural="s" if len(inputs) > 1 else "",
        inputs=", ".join(f"`{i['name']}` {i['dtype']} {i['shape']}, {source(i['prior'])}" for i in inputs),
        output=output,
        largest=role["max_batch_size"],
        figures=figures(manifest["metrics"].get(name)),
        python=python(inputs, f"{name}.uint8.onnx" if image and draws else f"{name}.onnx"),
        request=request(inputs),
    )


def does(inputs: list[Mapping[str, Any]], gives: str, kind: str) -> str:
    """What a role is for, in a sentence."""
    takes = {i["prior"] for i in inputs} & {"sample", "other"}
    if gives == "latent":
        return f"From {article(kind)} to its latent (the mean)."
    if takes:
        first, second = ("first", "second") if takes == {"sample"} else ("second", "first")
        return f"From {article(kind)} of the {first} domain to one of the {second}."
    return f"Draws {kind}s."


def article(kind: str) -> str:
    """With its article."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def source(prior: str) -> str:
    """Where the values of an input come from."""
    return {"sample": "data in [-1, 1]", "other": "data in [-1, 1]"}.get(prior, f"prior {prior}")


def figures(metrics: Mapping[str, Any] | None) -> str:
    """The figures of a role and how they were taken, where it was measured."""
    if metrics is None:
        return ""
    return FIGURES.format(
        rows="\n".join(f"| {k} | {v:.4g} |" for k, v in metrics.items() if not isinstance(v, dict)),
        protocol=", ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics["protocol"].items()
        ),
    )


def python(inputs: list[Mapping[str, Any]], file: str) -> str:
    """A few lines that call it."""
    feed = ", ".join(
        f'"{i["name"]}": {DRAW.get(i["prior"], "np.zeros((16, {dims}), np.float32)")}'.format(
            n=i["size"], dims=", ".join(map(str, i["shape"][1:]))
        )
        for i in inputs
    )
    return (
        "import numpy as np, onnxruntime as ort\n\n"
        "rng = np.random.default_rng(7)\n"
        f'session = ort.InferenceSession("{file}", providers=["CPUExecutionProvider"])\n'
        f"(out,) = session.run(None, {{{feed}}})\n"
        "print(out.shape, out.dtype)"
    )


def request(inputs: list[Mapping[str, Any]]) -> str:
    """The body of a request of one row of zeros, as an argument for a shell; Python writes the long ones."""
    rows = []
    for value in inputs:
        integer, shape = value["dtype"] == "int64", value["shape"][1:] or [1]
        zero, kind = ("0", "INT64") if integer else ("0.0", "FP32")
        data = f"[{', '.join([zero] * prod(shape))}]" if prod(shape) <= LONG else f"[{zero}] * {prod(shape)}"
        rows.append(f'{{"name": "{value["name"]}", "shape": {[1, *shape]}, "datatype": "{kind}", "data": {data}}}')
    body = f'{{"inputs": [{", ".join(rows)}]}}'
    if all(prod(v["shape"][1:]) <= LONG for v in inputs):
        return f"'{body}'"
    return f""""$(python3 -c 'import json; print(json.dumps({body}))')\""""
