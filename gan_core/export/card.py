"""The README of an exported folder: what it is, how good it is, how to call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = """# {run}

{kind} generator, variant `{variant}`, trained for {steps} steps on data set `{dataset}` ({licence}).

![samples](samples.png)

| measure | value |
| --- | --- |
{figures}

Protocol: {protocol}.

## Use it

Input{plural}: {inputs}. Output: {output}. Batches of 1 to {largest}.

With nothing but `onnxruntime` and `numpy`:

```python
{python}
```

On a server that speaks KServe v2 (NVIDIA Triton loads `model_repository/` as it is; without a GPU add
`--model-config-name=cpu`):

```sh
curl -s localhost:8000/v2/models/{run}_generator/infer -H 'Content-Type: application/json' \\
  -d '{{"inputs": [{request}]}}'
```

Every file's sha256, what was measured against which tolerance, and where the weights came from: `manifest.json`.
"""


def card(manifest: Mapping[str, Any], metrics: Mapping[str, Any], index: Mapping[str, Any], dataset: str) -> str:
    """The README of one run's exported folder (its role ``generator``)."""
    role = manifest["roles"]["generator"]
    notes = role["provenance"]["notes"]
    inputs = role["inputs"]
    protocol = metrics["protocol"]
    figures = {k: v for k, v in metrics.items() if k != "protocol"}
    return CARD.format(
        run=manifest["run"],
        kind=index["kind"].capitalize(),
        variant=notes["variant"],
        steps=notes["steps"],
        dataset=dataset,
        licence=index["licence"],
        figures="\n".join(f"| {k} | {v:.4g} |" for k, v in figures.items()),
        protocol=", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in protocol.items()),
        plural="s" if len(inputs) > 1 else "",
        inputs=", ".join(f"`{i['name']}` {i['dtype']} {i['shape']}, prior {i['prior']}" for i in inputs),
        output=f"`{role['output']['name']}` float32 {role['output']['shape']}"
        + (
            " in [-1, 1]; `generator.uint8.onnx` gives pixels, height x width x channels"
            if index["kind"] == "image"
            else ""
        ),
        largest=role["max_batch_size"],
        python=python(inputs, index["kind"] == "image"),
        request=", ".join(request(i) for i in inputs),
    )


def python(inputs: list[Mapping[str, Any]], image: bool) -> str:
    """A few lines that draw samples."""
    draw = {
        "normal": "rng.standard_normal((16, {n}), dtype=np.float32)",
        "uniform": "rng.random((16, {n}), dtype=np.float32) * 2 - 1",
        "label": "np.arange(16, dtype=np.int64) % {n}",
    }
    feed = ", ".join(f'"{i["name"]}": {draw[i["prior"]].format(n=i["size"])}' for i in inputs)
    file = "generator.uint8.onnx" if image else "generator.onnx"
    return (
        "import numpy as np, onnxruntime as ort\n\n"
        "rng = np.random.default_rng(7)\n"
        f'session = ort.InferenceSession("{file}", providers=["CPUExecutionProvider"])\n'
        f"(samples,) = session.run(None, {{{feed}}})\n"
        "print(samples.shape, samples.dtype)"
    )


def request(value: Mapping[str, Any]) -> str:
    """One input of a request, one row of zeros."""
    integer = value["prior"] == "label"
    size = 1 if integer else value["shape"][-1]
    data = "0" if integer else ", ".join(["0.0"] * size)
    kind = "INT64" if integer else "FP32"
    return f'{{"name": "{value["name"]}", "shape": [1, {size}], "datatype": "{kind}", "data": [{data}]}}'
