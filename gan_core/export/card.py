"""The README of an exported folder: what it is, how good it is, how to call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from gan_core.core import latents
from gan_core.core.classes import table
from gan_core.core.lineage import IMPORTED, NOTE, of_import, sentences
from gan_core.core.pixels import images_of
from gan_core.export.manifest import ModelEndpoint, TensorSpec, endpoints_of, main_graph

CARD = """# {run}

{origin} data set `{dataset}` ({licence}).

![samples](samples.png)

{lineage}{roles}
Any server that speaks KServe v2 takes the `curl` lines. NVIDIA Triton loads `model_repository/` as it is; without a GPU
add `--model-config-name=cpu`. {engines}Every file's sha256, what was measured against which tolerance, and where the
weights came from: `manifest.json`. Whether the folder is whole, and a server draws what it should:
`gan verify exported/{run}`.
"""

RTX = """Engines of TensorRT-RTX are for programs that bring that library: no backend of Triton loads them.
They take batches of exactly {sizes} (fill up smaller ones) at the size that was trained on; the graphs take any.
"""

ROLE = """## {role}

{does}

Input{plural}: {inputs}. Output: {output}. Batches of 1 to {largest}. {graphs}

{classes}{figures}{seeds}With nothing but `onnxruntime` and `numpy`:

```python
{python}
```

On a server:

```sh
{curl}
```

```python
{client}
```

{warning}"""

SEEDS = """The same seed gives the same sample, in any batch, here and on a server. From the project's
folder, without torch:

```sh
gan sample exported/{run} --role {role} --seed 7 --n 64 --out grid.png
```

```python
from gan_core.serving.client import Generator

samples = Generator.open("exported/{run}", "{role}").draw(range(7, 71){labels})
```

"""

PYTHON = """import numpy as np, onnxruntime as ort

{rng}session = ort.InferenceSession("{file}", providers=["CPUExecutionProvider"])
(out,) = session.run(None, {{{feed}}})
print(out.shape, out.dtype)"""

RNG = "rng = np.random.default_rng(7)\n"

CLIENT = """import numpy as np, tritonclient.http as http
from tritonclient.utils import np_to_triton_dtype

feed = {{{feed}}}
asked = [http.InferInput(k, v.shape, np_to_triton_dtype(v.dtype)).set_data_from_numpy(v) for k, v in feed.items()]
out = http.InferenceServerClient("localhost:8000").infer("{model}", asked).as_numpy("{output}")
print(out.shape, out.dtype)"""

CURL = "curl -s localhost:8000/v2/models/{model}/infer"

FIGURES = """| measure | value | real samples |
| --- | --- | --- |
{rows}

{verdicts}Protocol: {protocol}.

"""

ALL = 1_000
"""Classes that a card names."""
LONG = 64
"""So many numbers are still written out."""

DRAW = {
    "normal": "rng.standard_normal(({n}, {size}), dtype=np.float32)",
    "uniform": "rng.random(({n}, {size}), dtype=np.float32) * 2 - 1",
    "seed": "np.arange({n})",
    "label": "np.arange({n}) % {size}",
    "category": "np.arange({n}) % {size}",
}

FORMS = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "int8": "int8 products, float32 sums",
}
"""What a graph computes in."""


def card(manifest: Mapping[str, Any], index: Mapping[str, Any]) -> str:
    """The README of one run's exported folder."""
    notes = next(iter(manifest["roles"].values()))["provenance"]["notes"]
    image = index["kind"] == "image"
    return CARD.format(
        run=manifest["run"],
        origin=origin(notes),
        dataset=manifest["dataset"],
        licence=index["licence"],
        engines=of_engines([e for role in manifest["roles"].values() for e in role["engines"]]),
        lineage=paragraph(notes.get(NOTE)),
        roles="\n".join(section(name, role, manifest, image) for name, role in manifest["roles"].items()),
    )


def origin(notes: Mapping[str, Any]) -> str:
    """Where it came from, up to the name of the data set."""
    if IMPORTED in notes:
        said = of_import(notes[IMPORTED])
        return f"{said[0].upper()}{said[1:]}; measured on"
    return f"Variant `{notes['variant']}`, trained for {notes['steps']} steps on"


def of_engines(engines: Sequence[Mapping[str, Any]]) -> str:
    """What takes the engines, and what they take; empty, where there are none."""
    return RTX.format(sizes=" or ".join(map(str, engines[0]["batch_sizes"]))) if engines else ""


def paragraph(lineage: Mapping[str, Any] | None) -> str:
    """Where the first weights came from, of a run that starts from another's."""
    return "".join(f"- {line}.\n" for line in sentences(lineage)) + "\n" if lineage else ""


def section(name: str, role: Mapping[str, Any], manifest: Mapping[str, Any], image: bool) -> str:
    """One role."""
    inputs, config = role["inputs"], role["provenance"]["network"]
    n, endpoints = min(16, role["max_batch_size"]), endpoints_of(manifest, name)
    draws = any(e.seeded for e in endpoints)
    labels = [i for i in inputs if i["prior"] == "label"]
    output = f"`{role['output']['name']}` float32 {role['output']['shape']}"
    if image and config["output_space"] != "latent":
        output += " in [-1, 1]"
    file = main_graph(manifest, name)
    fed = [as_pixels(i, pixel_type(role)) for i in inputs] if role["graphs"][file]["pixels"] else inputs
    called = next(e for e in endpoints if (e.seeded if draws else e.is_graph and not e.pixels))
    asked = [described(i) for i in called.inputs if not i.optional]
    in_repository = {e.graph for e in endpoints}
    return ROLE.format(
        role=name,
        does=does(inputs, config["output_space"], "image" if image else "point"),
        plural="s" if len(inputs) > 1 else "",
        inputs=", ".join(f"`{i['name']}` {i['dtype']} {i['shape']}, {source(i['prior'], image)}" for i in inputs),
        output=output,
        largest=role["max_batch_size"],
        graphs="Graphs: "
        + ", ".join(
            form(file, graph, file in in_repository, pixel_type(role)) for file, graph in role["graphs"].items()
        )
        + f".{open_sides(role, endpoints)}{refused(role)}",
        classes="".join(f"Classes of `{i['name']}`: {table(i['classes'], ALL)}.\n\n" for i in inputs if "classes" in i)
        + (scale(manifest["metrics"]) if "latent" in (config["output_space"], *(i["prior"] for i in inputs)) else ""),
        figures=figures(manifest["metrics"].get(name)),
        seeds=SEEDS.format(
            run=manifest["run"], role=name, labels="".join(f", {i['name']}={example(i)}" for i in labels)
        )
        if draws
        else "",
        python=PYTHON.format(file=file, feed=feed(fed, n), rng=RNG if draws else ""),
        curl=curl(called.name, asked),
        client=CLIENT.format(feed=feed(asked, n, column="[:, None]"), model=called.name, output=called.output.name),
        warning=warning(labels, draws),
    )


def scale(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Of latents that have no prior: where they lie, for who trains a model of them."""
    found = next((figures for figures in metrics.values() if "latent_scale" in figures), None)
    if found is None:
        return ""
    return (
        "Latents of held-out samples have mean {latent_mean:.4g} and deviation {latent_std:.4g}: a model of latents is "
        "trained on {latent_scale:.4g} times `z` (scale factor).\n\n".format(**found)
    )


def example(i: Mapping[str, Any]) -> str:
    """A label as Python has it: a class by name, or by number."""
    return repr(i["classes"][-1]) if "classes" in i else str(min(3, i["size"] - 1))


def described(i: TensorSpec) -> dict[str, Any]:
    """An input of a model as the manifest describes those of a graph."""
    return {"name": i.name, "dtype": i.dtype, "shape": ["batch", *i.usual], "prior": i.prior, "size": i.size}


def form(file: str, graph: Mapping[str, Any], served: bool, kind: str) -> str:
    """A graph and what it is; ``served``: a server loads it from the repository; ``kind``: of pixels."""
    pixels = f", images as pixels: {kind}, height x width x channels" if graph["pixels"] else ""
    return f"`{file}` ({FORMS[graph['precision']]}{pixels}{'; what a server loads' if served else ''})"


def refused(role: Mapping[str, Any]) -> str:
    """What the gate did not let pass, and why."""
    said = "".join(f"\nNot shipped: `{file}` ({'; '.join(why)})." for file, why in role["refused"].items())
    return said + "".join(f"\nNo engine of `{file}`: {why}." for file, why in role.get("without_engines", {}).items())


def open_sides(role: Mapping[str, Any], endpoints: Sequence[ModelEndpoint]) -> str:
    """What images a graph takes beside those that it was trained on."""
    multiple = role["size_multiple"]
    if not multiple:
        return ""
    about = role["tiles"]
    there = (e.name for e in endpoints if e.tiles)
    served = "".join(f". On a server `{name}` does so, one picture of any sides a request" for name in there)
    how = (
        f"Large pictures may come in tiles that see {about['reach']} pixels beyond what is kept of them: "
        f"{about['pixels_off']:.2%} of pixels then differ from those of the whole picture, in float32"
        f"{served}"
        if about["reach"] is not None
        else f"It is given no tiles of a larger picture: {about['why']}"
    )
    may = f"may be any multiples of {multiple} from {2 * multiple} up" if multiple > 1 else "may be any from 2 up"
    return f" Height and width {may}. {how}."


def pixel_type(role: Mapping[str, Any]) -> str:
    """NumPy's word for the pixels of a role."""
    return f"uint{role['provenance']['network'].get('bits', 8)}"


def as_pixels(i: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """An input of the graph with pixels."""
    if i["name"] not in images_of([i]):
        return i
    batch, *c_h_w = i["shape"]
    return {**i, "dtype": kind, "shape": [batch, *c_h_w[1:], c_h_w[0]]}


def warning(labels: Sequence[Mapping[str, Any]], draws: bool) -> str:
    """What a graph by itself takes without a word, and who does not."""
    says = ["To a graph by itself, NaN is a number: the answer is NaN."]
    says += [f"A `{y['name']}` beyond 0 to {y['size'] - 1} is an error on a CPU; no GPU was asked." for y in labels]
    says += ["The seeded model and the project's client refuse such values."] if draws else []
    return "\n".join(says) + "\n"


def does(inputs: Sequence[Mapping[str, Any]], output_space: str, kind: str) -> str:
    """What a role is for, in a sentence."""
    takes = {i["prior"] for i in inputs} & {"x", "x_b", "latent"}
    if output_space == "latent":
        return f"From {article(kind)} to its latent (the mean)."
    if takes == {"latent"}:
        return f"From a latent of the encoder to {article(kind)}."
    if takes:
        first, second = ("first", "second") if takes == {"x"} else ("second", "first")
        return f"From {article(kind)} of the {first} domain to one of the {second}."
    return f"Draws {kind}s."


def article(kind: str) -> str:
    """With its article."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def source(prior: str, image: bool) -> str:
    """Where the values of an input come from."""
    if prior in (*latents.DRAWN, *latents.GIVEN):
        return f"prior {prior}"
    if prior == "latent":
        return "what the encoder gives"
    return "data in [-1, 1]" if image else "data"


def figures(metrics: Mapping[str, Any] | None) -> str:
    """The figures of a role and how they were taken, where it was measured."""
    if metrics is None:
        return ""
    real = metrics.get("real", {})
    return FIGURES.format(
        rows="\n".join(
            f"| {k} | {v:.4g} | {format(real[k], '.4g') if k in real else '–'} |"
            for k, v in metrics.items()
            if isinstance(v, int | float)
        ),
        verdicts="".join(f"**{says[0].upper()}{says[1:]}.**\n\n" for says in metrics.get("verdicts", {}).values())
        + "".join(f"{says}.\n\n" for says in metrics.get("unknown", ())),
        protocol=", ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics["protocol"].items()
        ),
    )


def feed(inputs: Sequence[Mapping[str, Any]], n: int, column: str = "") -> str:
    """Inputs as the items of a dictionary in Python; ``column``: what makes one number a row, as on the wire."""
    return ", ".join(f'"{i["name"]}": {values(i, n, column)}' for i in inputs)


def values(i: Mapping[str, Any], n: int, column: str) -> str:
    """Rows of one input in Python."""
    shape = i["shape"][1:]
    drawn = DRAW.get(i["prior"], f"np.zeros({(n, *shape)}, np.{i['dtype']})").format(n=n, size=i["size"])
    whole = f"({drawn})" if " " in drawn else drawn
    return f"{whole}{column}" if column and not shape else drawn


def curl(model: str, inputs: Sequence[Mapping[str, Any]]) -> str:
    """A request of one row: a seed of 7, labels of 3, or zeros; Python writes the long ones."""
    rows = []
    for i in inputs:
        shape = i["shape"][1:] or [1]
        one = {"seed": "7", "label": str(min(3, i["size"] - 1))}.get(i["prior"], "0.0")
        data = f"[{', '.join([one] * prod(shape))}]" if prod(shape) <= LONG else f"[{one}] * {prod(shape)}"
        kind = "INT64" if i["dtype"] == "int64" else "FP32"
        rows.append(f'{{"name": "{i["name"]}", "shape": {[1, *shape]}, "datatype": "{kind}", "data": {data}}}')
    body, line = f'{{"inputs": [{", ".join(rows)}]}}', CURL.format(model=model)
    if all(prod(i["shape"][1:]) <= LONG for i in inputs):
        return f"{line} \\\n  -d '{body}'"
    return f"python3 -c 'import json; print(json.dumps({body}))' | \\\n  {line} -d @-"
