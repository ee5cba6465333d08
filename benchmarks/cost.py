"""What large work takes, calculated from what was measured: ``python -m benchmarks.cost`` writes docs/cost.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gan_core.forecast.measure import ROOT
from gan_core.runtime import files

RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/cost.md"
RUNS, PICTURES, CORES, GPUS = (1, 16, 1_000), (100_000, 1_000_000, 100_000_000), (2, 16, 64), (1, 4, 16, 64)
SIDES = (32, 64, 128, 256)
ASSUMED_RATE, STEPS, BATCH = 1_000, 100_000, 64
GIB = 2**30

HEAD = """# What large work takes

Calculated from rates in [`benchmarks/results`](../benchmarks/results) by `python -m benchmarks.cost`, which writes this
page. Everything beyond two cores is arithmetic and not a measurement: it takes work to be divided evenly, and machines
to be alike. For a run of your own, `gan forecast` measures on your machine.

"""


def page() -> str:
    """All of docs/cost.md."""
    sections = (runs(), preparing(), packed(), training(), gpus(), unmeasured())
    return HEAD + "\n\n".join("\n".join(section) for section in sections) + "\n"


def runs() -> Iterator[str]:
    """Hours and bytes of many runs."""
    found = files.read_json(RESULTS / "forecast.json")
    machine = found["machine"]
    yield "## Many runs"
    yield ""
    yield prose(
        f"""CPU seconds of all four stages on one thread ({machine["cpu"]}, `forecast.json`). Hours on *c*
        cores: runs x CPU seconds / (3600 c). What comes home from a cluster is what a run keeps, once; a
        remote takes it once more. Memory is that of the largest stage, for each run at once."""
    )
    yield ""
    heads = [f"{count:,} runs, {cores} cores: hours" for count in RUNS[1:] for cores in CORES[1:]]
    yield from header("run", "steps", "CPU s a run", *heads, "1,000 runs keep GiB", "memory GiB")
    for name, run in found["runs"].items():
        cpu = sum(row["real"]["cpu"] for row in run["rows"])
        kept = sum(row["real"]["kept"] for row in run["rows"] if row["stage"] != "prepare")
        memory = max(row["real"]["memory"] for row in run["rows"])
        hours = [f"{count * cpu / 3600 / cores:,.2f}" for count in RUNS[1:] for cores in CORES[1:]]
        yield line(
            f"`{name}`", f"{run['steps']:,}", f"{cpu:,.0f}", *hours, f"{1_000 * kept / GIB:,.1f}", f"{memory / GIB:.1f}"
        )


def preparing() -> Iterator[str]:
    """Hours to prepare many pictures."""
    found = files.read_json(RESULTS / "prepare.json")
    machine, memory = found["speed"]["machine"], found["memory"]
    small, large = memory["bytes"]["prepare_images"]
    yield "## Many pictures: preparing"
    yield ""
    yield prose(
        f"""Hours: pictures / rate / 3600, the rate as measured on {machine["cores"]} cores (`prepare.json`).
        One data set is prepared by one machine, which decodes on all its cores; that more cores decode in
        proportion is not measured. Memory does not grow: {small / 2**20:.0f} MiB for
        {memory["counts"][0]:,} pictures, {large / 2**20:.0f} for {memory["counts"][1]:,}."""
    )
    yield ""
    yield from header("pictures", f"a second, {machine['cores']} cores", *(f"{n:,}: hours" for n in PICTURES))
    for row in found["speed"]["rows"]:
        yield line(row["kind"], f"{row['ours']:,.0f}", *(f"{n / row['ours'] / 3600:,.2f}" for n in PICTURES))


def packed() -> Iterator[str]:
    """Bytes of packed pictures."""
    yield "## Many pictures: bytes"
    yield ""
    yield prose(
        """Packed RGB pictures of uint8: pictures x side x side x 3. So much is written once, hashed by DVC
        once, pushed once where there is a remote, read by each machine that trains, and read again in each
        epoch if memory does not hold it."""
    )
    yield ""
    yield from header("side", *(f"{n:,}: GiB" for n in PICTURES))
    for side in SIDES:
        yield line(str(side), *(f"{n * side * side * 3 / GIB:,.1f}" for n in PICTURES))


def training() -> Iterator[str]:
    """Hours on CPUs."""
    found = files.read_json(RESULTS / "train-cpu.json")
    machine = found["machine"]
    yield "## Training on CPUs"
    yield ""
    yield prose(
        f"""Samples a second on {machine["threads"]} threads ({machine["cpu"]}, float32, `train-cpu.json`).
        Hours of {STEPS:,} steps: steps x batch / rate / 3600; of an epoch: samples / rate / 3600."""
    )
    yield ""
    yield from header("training", "samples a second", f"{STEPS:,} steps: hours", "100,000,000 samples once: hours")
    for row in found["rows"]:
        rate = row["images_per_second"]["ours"]
        batch = int(row["case"].rpartition(" ")[2])
        yield line(row["case"], f"{rate:,.0f}", f"{STEPS * batch / rate / 3600:,.1f}", f"{1e8 / rate / 3600:,.0f}")


def gpus() -> Iterator[str]:
    """Hours on GPUs, of a rate that the reader puts in."""
    yield "## Training on GPUs"
    yield ""
    yield prose(
        f"""No rate of a GPU is in `benchmarks/results`. With *r* samples a second on one GPU (`make gpu`
        measures it), *g* GPUs that share each batch take at least samples / (g r) / 3600 hours; for r =
        {ASSUMED_RATE:,}, an assumption:"""
    )
    yield ""
    yield from header("samples", *(f"{g} GPU{'s' if g > 1 else ''}: hours" for g in GPUS))
    for n in PICTURES:
        yield line(f"{n:,}", *(f"{n / ASSUMED_RATE / g / 3600:,.2f}" for g in GPUS))
    yield ""
    yield prose(
        """To that comes what gradients take: an update sums all of its players' gradients once, 4 bytes a
        weight; of a sum over a ring each GPU sends 2 (g - 1) / g times so much. In GiB that each GPU sends
        in 1,000 updates:"""
    )
    yield ""
    yield from header("weights", *(f"{g} GPUs" for g in GPUS[1:]))
    for weights in (1_000_000, 10_000_000, 100_000_000):
        yield line(f"{weights:,}", *(f"{1_000 * 4 * weights * 2 * (g - 1) / g / GIB:,.0f}" for g in GPUS[1:]))
    yield ""
    yield prose(
        """Memory of each: weights, gradients and Adam's two moments, 16 bytes a weight, 4 more of a network that ships
        (its average), and what backward keeps of a shard, which grows with `batch_size / shards`."""
    )


def unmeasured() -> Iterator[str]:
    """What this page does not know."""
    rows = files.read_json(RESULTS / "growth.json")["rows"]
    growth = next(row for row in rows if row["cost"] == "preparing and reading")
    yield "## What is not measured"
    yield ""
    yield "* More than two cores, more than one machine, any GPU: how far from even division they are."
    yield prose(
        f"""* 100,000,000 pictures: the largest set that was timed has {growth["sizes"][-1]:,} samples of 28x28, up to
        which time grew with the power of {growth["exponent"]:.2f} of their number (`growth.json`)."""
    )
    yield "* Networks between machines and shared disks: bytes are counted, not timed."
    yield "* How many steps a good generator takes."
    yield "* More processes than shards: `train.shards` divides the batch, and each process computes at least one."


def prose(text: str) -> str:
    """A paragraph in lines of one width."""
    return textwrap.fill(" ".join(text.split()), 120)


def header(*cells: str) -> Iterator[str]:
    """The head of a table."""
    yield line(*cells)
    yield line("---", *["---:"] * (len(cells) - 1))


def line(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    files.write(PAGE, page().encode())
    print(f"wrote {PAGE}")
