"""Serving: one generator through every way it can be called, all in one run.

``python -m benchmarks.serve``. The ways take turns, block by block, so that a machine that slows down slows them all;
before it is timed, each must give what torch gives. Writes results/serve-<cpu|cuda>.json and .md. On a GPU there are
more rows: see gpu.py. ``--only server Triton``: rows of these words alone, and the one that all are set against.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tritonclient.utils import np_to_triton_dtype

from benchmarks import gpu, wrk
from benchmarks.machine import described
from benchmarks.tables import markdown
from gan_core.core import artifact
from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.export import endpoints, naming, onnx
from gan_core.export.manifest import FORMAT, ModelEndpoint, endpoint_json, endpoints_of, manifest_of
from gan_core.runtime import errors, files
from gan_core.runtime.device import set_up
from gan_core.serving.backends.base import Ports
from gan_core.serving.backends.onnxruntime.backend import OnnxRuntime
from gan_core.serving.backends.triton import repository
from gan_core.serving.backends.triton.backend import Triton

RESULTS = Path(__file__).parent / "results"
CONVOLUTIONAL = NetworkSpec("dcgan", 16, 64, (3, 32, 32))
"""Built with fresh weights beside the exported run: time does not depend on their values."""
LARGEST, BLOCKS, WARM_UP = 64, 5, 20
CONCURRENCIES = (1, 4, 16)
IN_PROCESS = "in process"
"""The way that those through a server are set against."""

Array = NDArray[Any]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Door:
    """Where a server that runs here is asked."""

    name: str
    protocol: str
    ports: Ports
    process: int
    """The server's."""

    def client(self) -> Any:
        """Triton's own, which speaks to any server of the protocol."""
        module = {"http": tritonclient.http, "grpc": tritonclient.grpc}[self.protocol]
        return module.InferenceServerClient(f"127.0.0.1:{getattr(self.ports, self.protocol)}")


@dataclass(frozen=True)
class Subject:
    """A generator, what was exported of it, and its models on a server."""

    name: str
    network: nn.Module
    config: NetworkConfig
    folder: Path
    files: Sequence[str]
    """Its float graphs, of every precision that was exported."""
    endpoint: ModelEndpoint
    """Its model that gives pixels."""
    seeded: str
    """The name of the one that takes seeds."""

    @property
    def largest(self) -> int:
        """The largest batch."""
        return self.endpoint.max_batch_size

    def graphs(self) -> list[Path]:
        """The paths of its float graphs."""
        return [self.folder / file for file in self.files]

    def flops(self) -> int:
        """Floating-point operations of one sample."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.network(*tensors(self.config.fixed_inputs(1, 0)))
        return int(counter.get_total_flops())


@dataclass
class Way:
    """One way to call: a function of the batch size that prepares a call, and the seconds its calls took."""

    name: str
    scope: str
    """What a call comprises: "compute" on arrays that are there, or all from a "draw" to pixels."""
    prepare: Callable[[int], Call]
    seconds: dict[int, list[float]] = field(default_factory=dict)


def tensors(inputs: Mapping[str, Array]) -> list[torch.Tensor]:
    """Named arrays as a network takes them."""
    return [torch.from_numpy(v) for v in inputs.values()]


def exported(run: Path, models: Path) -> Subject:
    """A run that the pipeline shipped.

    Raises:
        DataError: it is not there, or draws no images from a prior.
    """
    manifest = manifest_of(run)
    role, shipped = next(iter(manifest["roles"].items()))
    trained = artifact.load(models / run.name / f"{role}.safetensors")
    if not trained.config.is_image or any(i.is_data for i in trained.config.inputs):
        raise errors.DataError(f"{run} draws no images from a prior; name a run that does, such as exported/gan")
    graphs = [file for file, graph in shipped["graphs"].items() if not graph["pixels"]]
    return Subject(run.name, trained.network, trained.config, run, graphs, *asked_for(endpoints_of(manifest, role)))


def asked_for(endpoints: Sequence[ModelEndpoint]) -> tuple[ModelEndpoint, str]:
    """The one that gives pixels for latents, and the name of the one that gives them for seeds."""
    return next(e for e in endpoints if e.pixels and e.is_graph), next(e.name for e in endpoints if e.seeded)


def built(body: NetworkSpec, folder: Path, instances: int = 1) -> Subject:
    """A generator that nobody trained, exported as the pipeline does it; ``instances``: of its models on a server."""
    torch.manual_seed(0)
    config = body.generator(body.prior())
    network = build_network(config).eval().requires_grad_(False)
    graphs = {
        naming.graph("generator", "fp32", config.pixel_type if pixels else ""): pixels for pixels in (False, True)
    }
    models = {f: onnx.export(onnx.Pixels(network) if p else network, config, opset=20) for f, p in graphs.items()}
    for file, model in models.items():
        files.write(folder / file, model)
    offered = list(endpoints.served(body.family, "generator", config, graphs, "fp32", LARGEST))
    repository.write(folder / "model_repository", offered, models, {"run": body.family}, instances)
    manifest = {
        "format": FORMAT,
        "files": {file: {"sha256": files.digest(model)} for file, model in models.items()},
        "roles": {"generator": {"size_multiple": onnx.size_multiple(config)}},
        "endpoints": [endpoint_json(endpoint) for endpoint in offered],
    }
    files.write_json(folder / "manifest.json", manifest)
    return Subject(body.family, network, config, folder, list(graphs)[:1], *asked_for(offered))


def session(path: Path, threads: int) -> ort.InferenceSession:
    """ONNX Runtime on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ways(subject: Subject, doors: Sequence[Door], threads: int) -> Iterator[Way]:
    """Every way to call on a CPU."""
    yield Way("torch eager", "compute", in_torch(subject, subject.network))
    if shutil.which("g++") or shutil.which("clang++"):
        yield Way("torch.compile", "compute", in_torch(subject, torch.compile(subject.network, dynamic=False)))
    else:
        print("no torch.compile row: it needs a C++ compiler")
    for path in subject.graphs():
        yield Way(f"ONNX Runtime, {path.name}", "compute", bound(subject, session(path, threads)))
    pixels = session(subject.folder / subject.endpoint.graph, threads)
    yield Way(IN_PROCESS, "draw", lambda n: in_process(subject, pixels, n))
    for door in doors:
        yield Way(door.name, "draw", lambda n, d=door: served(subject, d.client(), n))  # type: ignore[misc]


def in_torch(subject: Subject, network: Callable[..., torch.Tensor]) -> Callable[[int], Call]:
    """Torch on tensors that are there."""

    def prepare(n: int) -> Call:
        inputs = tensors(subject.config.fixed_inputs(n, 1))

        def call() -> Array:
            with torch.inference_mode():
                return np.asarray(network(*inputs))

        return call

    return prepare


def bound(subject: Subject, run: ort.InferenceSession) -> Callable[[int], Call]:
    """ONNX Runtime with inputs and output bound to memory that is there."""

    def prepare(n: int) -> Call:
        binding = run.io_binding()
        for name, value in subject.config.fixed_inputs(n, 1).items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
        out = np.empty((n, *subject.config.shape), np.float32)
        kept = ort.OrtValue.ortvalue_from_numpy(out)
        binding.bind_ortvalue_output(subject.config.output_name, kept)

        def call() -> Array:
            run.run_with_iobinding(binding)
            return np.asarray(kept.numpy())

        return call

    return prepare


def draws(subject: Subject, n: int) -> Iterator[dict[str, Array]]:
    """Other inputs for every call; the first are those of the rows that only compute."""
    return (subject.config.fixed_inputs(n, seed) for seed in itertools.count(1))


def in_process(subject: Subject, run: ort.InferenceSession, n: int) -> Call:
    """From a draw to pixels with nothing between."""
    drawn = draws(subject, n)
    return lambda: run.run(None, next(drawn))[0]


def served(subject: Subject, client: Any, n: int) -> Call:
    """From a draw to pixels through a server."""
    drawn = draws(subject, n)
    module = tritonclient.grpc if isinstance(client, tritonclient.grpc.InferenceServerClient) else tritonclient.http

    def call() -> Array:
        asked = []
        for name, value in next(drawn).items():
            sent = value[:, None] if value.ndim == 1 else value
            asked.append(module.InferInput(name, sent.shape, np_to_triton_dtype(sent.dtype)))
            asked[-1].set_data_from_numpy(sent)
        return np.asarray(client.infer(subject.endpoint.name, asked).as_numpy(subject.config.output_name))

    return call


def on_host(out: Any) -> Array:
    """A result as an array, wherever it lies."""
    return np.asarray(
        out.cpu() if isinstance(out, torch.Tensor) else out if isinstance(out, np.ndarray) else out.numpy()
    )


def agree(way: Way, got: Array, expected: Array) -> None:
    """Refuse to time what computes something else.

    Raises:
        NumericsError: it does.
    """
    if got.dtype == np.uint8:
        expected = np.moveaxis((expected.clip(-1, 1) + 1) * 127.5, 1, -1)
    narrow = any(precision in way.name for precision in ("fp16", "bf16", "int8"))
    allowed = 0.52 if got.dtype == np.uint8 else 0.2 if narrow else 1e-2
    off = float(np.abs(got.astype(np.float32) - expected).max())
    if got.shape != expected.shape or off > allowed:
        raise errors.NumericsError(f"{way.name} is off by {off:.3g} from torch; nothing was timed")


def measure(listed: list[Way], batch: int, calls: int) -> None:
    """Time every way at one batch size, in turns."""
    prepared = [(way, way.prepare(batch)) for way in listed]
    expected = prepared[0][1]()
    for way, call in prepared:
        agree(way, on_host(call()), expected)
        for _ in range(WARM_UP):
            call()
        way.seconds[batch] = []
    for _ in range(BLOCKS):
        for way, call in prepared:
            way.seconds[batch] += timed(call, -(-calls // BLOCKS))


def timed(call: Call, times: int) -> list[float]:
    """The seconds of each of so many calls."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return taken


def summary(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    return {f"p{q}_ms": float(np.percentile(seconds, q)) * 1e3 for q in (50, 90, 99)}


def rows(listed: list[Way], flops: int, peak: float) -> Iterator[dict[str, Any]]:
    """One row a way and batch size, each against torch eager at the same size."""
    for batch in listed[0].seconds:
        eager = float(np.median(listed[0].seconds[batch]))
        for way in listed:
            taken = way.seconds[batch]
            row = {"way": way.name, "scope": way.scope, "batch": batch, "calls": len(taken), **summary(taken)}
            row |= {"images_per_s": batch * len(taken) / sum(taken), "of_eager": eager / float(np.median(taken))}
            if way.scope == "compute":
                row["of_peak"] = flops * batch / float(np.median(taken)) / peak
            yield row


def load(subject: Subject, door: Door, clients: int, calls: int) -> dict[str, Any]:
    """Many clients at once, one image a request: what each waits, and what the server makes of it."""
    each = max(20, -(-calls // clients))
    asking = [served(subject, door.client(), 1) for _ in range(clients)]
    taken: list[list[float]] = [[] for _ in asking]
    barrier = threading.Barrier(clients + 1)

    def ask(k: int) -> None:
        timed(asking[k], 3)
        barrier.wait()
        taken[k] = timed(asking[k], each)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    before, begun, busy = counted(subject, door.ports), time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    wall, busy, after = time.perf_counter() - begun, time.process_time() - busy, counted(subject, door.ports)
    runs, images = (b - a for a, b in zip(before, after, strict=True))
    return {
        "way": door.name,
        "clients": clients,
        "calls": clients * each,
        **summary(list(itertools.chain(*taken))),
        "images_per_s": clients * each / wall,
        "server_batch": images / runs,
        "client_cpu_ms": busy / (clients * each) * 1e3,
    }


def from_c(subject: Subject, door: Door, scratch: Path, reference: float) -> Iterator[dict[str, Any]]:
    """The same from clients in C, also by seed; ``reference``: images a second that are drawn in process."""
    latents, seed = subject.config.fixed_inputs(1, 1), {"seed": np.zeros(1, np.int64)}
    labels = {i.name: latents[i.name] for i in subject.config.inputs if i.prior == "label"}
    asked = {"latents": (subject.endpoint.name, latents), "seeds": (subject.seeded, seed | labels)}
    for (given, (model, rows)), clients in itertools.product(asked.items(), CONCURRENCIES):
        row = wrk.load(door.ports.http, door.process, model, rows, subject.config.output_name, clients, scratch)
        yield {
            "way": door.name,
            "given": given,
            "clients": clients,
            **row,
            "of_process": row["images_per_s"] / reference,
        }


def counted(subject: Subject, ports: Ports) -> tuple[int, int]:
    """How often the server has run the model, and for how many images."""
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{ports.http}") as client:
        found = client.get_inference_statistics(subject.endpoint.name)["model_stats"][0]
    return int(found["execution_count"]), int(found["inference_count"])


def about(
    subject: Subject,
    doors: Sequence[Door],
    threads: int,
    calls: int,
    peak: float,
    only: Sequence[str],
    scratch: Path,
) -> dict[str, Any]:
    """All figures of one subject; ``only``: of ways with one of these words in their names, if there are any."""
    first, *listed = ways(subject, doors, threads)
    if torch.cuda.is_available():
        listed += [Way(name, "compute", prepare) for name, prepare in gpu.ways(subject)]
    listed = [first, *(way for way in listed if chosen(way.name, only))]
    for batch in (1, max(1, subject.largest // 4), subject.largest):
        measure(listed, batch, calls)
        print(f"{subject.name}: batch {batch} done", flush=True)
    alone = next((way for way in listed if way.name == IN_PROCESS), first)
    fastest = max(batch / float(np.median(seconds)) for batch, seconds in alone.seconds.items())
    asked = [d for d in doors if d.protocol == "http" and chosen(d.name, only)] if wrk.there() else []
    return {
        "shape": list(subject.config.shape),
        "parameters": sum(p.numel() for p in subject.network.parameters()),
        "flops": subject.flops(),
        "rows": list(rows(listed, subject.flops(), peak)),
        "load": [load(subject, d, c, calls) for d in doors if chosen(d.name, only) for c in CONCURRENCIES],
        "from_c": [row for d in asked for row in from_c(subject, d, scratch, fastest)],
    }


def chosen(name: str, only: Sequence[str]) -> bool:
    """Whether a way is asked for."""
    return not only or any(word in name for word in only)


def peak_of(device: str) -> float:
    """Floating-point operations a second of a large float32 matrix product on this device: the roof."""
    x = torch.randn(2048 if device == "cpu" else 8192, 2048 if device == "cpu" else 8192, device=device)

    def call() -> None:
        x @ x
        if device == "cuda":
            torch.cuda.synchronize()

    timed(call, 3)
    return float(2 * x.shape[0] ** 3 / min(timed(call, 20)))


def main() -> None:
    """Parse the command line, measure, write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("exported/gan"), help="default: %(default)s")
    parser.add_argument("--models", type=Path, default=Path("models"), help="default: %(default)s")
    parser.add_argument("--calls", type=int, default=300, help="timed calls a row (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch and ONNX Runtime (default: %(default)s)")
    parser.add_argument("--triton", type=Path, default=Path(".venv-triton"), help="the server's environment")
    parser.add_argument("--instances", type=int, default=1, help="of dcgan's models on Triton (default: %(default)s)")
    parser.add_argument("--only", nargs="*", default=[], help="words of the rows to measure (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the tables")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    set_up(arguments.threads)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        subjects = [exported(arguments.run, arguments.models), built(CONVOLUTIONAL, scratch, arguments.instances)]
        triton, other, folders = Ports.free(), Ports.free(), [s.folder for s in subjects]
        pids = [
            stack.enter_context(backend.launch(folders, ports)).pid
            for backend, ports in ((Triton(arguments.triton), triton), (OnnxRuntime(), other))
        ]
        doors = [Door(f"Triton, {protocol.upper()}", protocol, triton, pids[0]) for protocol in ("http", "grpc")]
        doors.append(Door("ONNX Runtime server, HTTP", "http", other, pids[1]))
        if not wrk.there():
            print("no rows of clients in C: they need wrk (apt-get install wrk)")
        peak = peak_of(device)
        result = {
            "machine": described(arguments.threads, device)
            | {name: metadata.version(name) for name in ("onnxruntime-gpu", "tritonclient")}
            | {"peak_gflops": peak / 1e9, "instances": arguments.instances},
            "subjects": {
                s.name: about(s, doors, arguments.threads, arguments.calls, peak, arguments.only, scratch)
                for s in subjects
            },
        }
    files.write_json(arguments.out / f"serve-{device}.json", result)
    files.write(arguments.out / f"serve-{device}.md", markdown(result).encode())
    print(f"wrote {arguments.out / f'serve-{device}.md'}")


if __name__ == "__main__":
    errors.run(main)
