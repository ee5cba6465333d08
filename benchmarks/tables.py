"""The result of benchmarks.serve for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# Serving

{cpu}, {cores} cores, {threads} threads, device {device}; torch {torch}, ONNX Runtime {onnxruntime-gpu}, tritonclient
{tritonclient}; {date}. `make bench-serve` writes this page. Instances of dcgan's models on Triton: {instances}.

All ways were timed in one run, in turns, after a warm-up; each gave what torch gives before it was timed. *Compute*
rows start from arrays that are there; *draw* rows draw new inputs and end in uint8 pixels. The server, its clients and
everything else share this one machine. *Of eager*: how many times as fast as torch eager at this batch size, by the
median. *Of peak*: share of {peak_gflops:.0f} GFLOP/s, what a large float32 matrix product reaches here.
"""


def markdown(result: Mapping[str, Any]) -> str:
    """One page."""
    return HEAD.format(**result["machine"]) + "".join(
        "\n" + "\n".join(section(name, s)) + "\n" for name, s in result["subjects"].items()
    )


def section(name: str, subject: Mapping[str, Any]) -> Iterator[str]:
    """One generator: called alone, then by many at once."""
    c, h, w = subject["shape"]
    yield (
        f"## {name}: {h}x{w}x{c}, {subject['parameters']:,} parameters, {subject['flops'] / 1e6:.3g} MFLOP an image\n"
    )
    yield "| batch | way | scope | p50 ms | p90 ms | p99 ms | images/s | of eager | of peak |"
    yield "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for r in subject["rows"]:
        peak = f"{r['of_peak']:.1%}" if "of_peak" in r else ""
        yield (
            f"| {r['batch']} | {r['way']} | {r['scope']} | {percentiles(r)} | {r['images_per_s']:,.0f} "
            f"| {r['of_eager']:.2f} | {peak} |"
        )
    yield "\nMany clients at once, one image a request:\n"
    yield "| way | clients | p50 ms | p90 ms | p99 ms | images/s | images a run | client CPU ms a request |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for r in subject["load"]:
        yield (
            f"| {r['way']} | {r['clients']} | {percentiles(r)} | {r['images_per_s']:,.0f} | {r['server_batch']:.1f} "
            f"| {r['client_cpu_ms']:.2f} |"
        )
    if subject["from_c"]:
        yield "\nThe same from clients in C (wrk), which leave the machine to the server; *of in process*: of the most"
        yield "images a second that are drawn there at any batch size:\n"
        yield "| way | given | clients | p50 ms | p90 ms | p99 ms | images/s | of in process | server CPU ms |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for r in subject["from_c"]:
        yield (
            f"| {r['way']} | {r['given']} | {r['clients']} | {percentiles(r)} | {r['images_per_s']:,.0f} "
            f"| {r['of_process']:.0%} | {r['server_cpu_ms']:.2f} |"
        )


def percentiles(row: Mapping[str, Any]) -> str:
    """Three cells."""
    return " | ".join(f"{row[f'p{q}_ms']:.3g}" for q in (50, 90, 99))
