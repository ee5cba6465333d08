"""A server under many clients that cost next to nothing: wrk, a load generator in C (``apt-get install wrk``).

Clients in Python take longer to ask than a server takes to answer: beside them, on the same machine, it gets what
they leave.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.machine import family
from gan_core.serving.client import Array, request_parts

SECONDS = 5
"""Of load, after one second of it to warm up."""
SCRIPT = """
local function read(name) local file = io.open(name, "rb") local all = file:read("*all") file:close() return all end
local head, rest, seed, seeded = read("{head}"), read("{rest}"), 0, {seeded}
local headers = {{["Content-Type"] = "application/octet-stream", ["Inference-Header-Content-Length"] = "{length}"}}
request = function()
  seed = seed + 1
  local bytes = seeded and string.char(seed % 256, math.floor(seed / 256) % 256, math.floor(seed / 65536) % 256) or ""
  return wrk.format("POST", nil, headers, head .. bytes .. rest)
end
done = function(summary, latency)
  local errors, p = summary.errors, latency.percentile
  local wrong = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local seen = {{summary.requests, summary.duration, p(latency, 50), p(latency, 90), p(latency, 99), wrong}}
  io.write("\\nseen " .. table.concat(seen, " ") .. "\\n")
end
"""
"""Asks for the same again and again; of a seeded model, whose seed is its first input, for one seed after another."""


def load(
    port: int, process: int, model: str, rows: dict[str, Array], output: str, clients: int, scratch: Path
) -> dict[str, float]:
    """Requests a second and percentiles of milliseconds that so many clients see, one request at a time each.

    ``process``: the server's, whose processor time a request is measured too.

    Raises:
        RuntimeError: a request was refused, or wrk failed.
    """
    asked, tensors = request_parts(rows, output)
    seeded = next(iter(rows)) == "seed"
    head, rest, script = scratch / "head", scratch / "rest", scratch / "wrk.lua"
    head.write_bytes(asked)
    rest.write_bytes(tensors[3:] if seeded else tensors)
    script.write_text(SCRIPT.format(head=head, rest=rest, seeded=str(seeded).lower(), length=len(asked)))
    url = f"http://127.0.0.1:{port}/v2/models/{model}/infer"
    for seconds in (1, SECONDS):  # the first warms up
        command = [
            "wrk",
            "--threads=1",
            f"--connections={clients}",
            f"--duration={seconds}s",
            f"--script={script}",
            url,
        ]
        before = seconds_of(process)
        ran = subprocess.run(command, capture_output=True, text=True)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("seen ")), None)
    if line is None or int(float(line.split()[-1])):
        raise RuntimeError(f"wrk saw errors of {model}: {ran.stdout}{ran.stderr}")
    spent = seconds_of(process) - before
    requests, micros, *percentiles, _ = map(float, line.split()[1:])
    seen = {f"p{q}_ms": us / 1e3 for q, us in zip((50, 90, 99), percentiles, strict=True)}
    return {"images_per_s": requests / micros * 1e6, **seen, "server_cpu_ms": spent / requests * 1e3}


def there() -> bool:
    """Whether wrk is."""
    return shutil.which("wrk") is not None


def seconds_of(pid: int) -> float:
    """Processor time of a process and of all it has started that still run."""
    fields = [Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split() for each in family(pid)]
    return sum(int(some[11]) + int(some[12]) for some in fields) / os.sysconf("SC_CLK_TCK")
