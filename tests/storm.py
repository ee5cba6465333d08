"""A real server under a storm: mixed requests that must get what the graphs give here, malformed ones that must get an
error while the server goes on.

``make storm`` sends 1,000 mixed and 500 malformed requests, over HTTP and (to Triton) gRPC, to every model of every
finished run in exported/, to one kind of server after the other. All of it stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from gan_core.core import latents
from gan_core.core.tiles import filled
from gan_core.export.manifest import ModelEndpoint, TensorSpec, endpoints_of, manifest_of
from gan_core.serving import client, session
from gan_core.serving.backends.base import Backend, Ports
from gan_core.serving.backends.onnxruntime.backend import OnnxRuntime
from gan_core.serving.backends.triton.backend import Triton

Rows = dict[str, np.ndarray]
SEEDED = ("seed", "central_mass")
"""What a seeded model takes beside the inputs of its graph."""
ROOT = Path(__file__).parents[1]
BACKENDS: dict[str, Backend] = {"triton": Triton(ROOT / ".venv-triton"), "onnxruntime": OnnxRuntime()}
"""By the words that ``gan serve --server`` takes."""
MODULES = {"http": tritonclient.http, "grpc": tritonclient.grpc}
"""Triton's clients, by protocol."""


@dataclass(frozen=True)
class Model:
    """A model on the server, and the graph here that it must agree with."""

    endpoint: ModelEndpoint
    graph: Path

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def output(self) -> str:
        return self.endpoint.output.name

    @property
    def inputs(self) -> list[TensorSpec]:
        """Of the graph."""
        return [i for i in self.endpoint.inputs if i.prior not in SEEDED]

    @property
    def labels(self) -> dict[str, int]:
        return {i.name: i.size for i in self.inputs if i.dtype == "int64"}

    @property
    def takes_mass(self) -> bool:
        return any(i.prior == "central_mass" for i in self.endpoint.inputs)

    def rows(self, choose: np.random.Generator, n: int) -> Rows:
        """A good request."""
        inputs = (
            [replace(i, usual=(*choose.integers(1, 40, 2), i.usual[2])) for i in self.inputs]
            if self.endpoint.tiles
            else self.inputs
        )
        drawn = {i.name: values(i, choose, n) for i in inputs}
        if not self.endpoint.seeded:
            return drawn
        kept = {i.name: drawn[i.name] for i in self.inputs if not i.optional or choose.random() < 0.2}
        if any(i.prior == "normal" and i.name not in kept for i in self.inputs) and choose.random() < 0.3:
            kept["central_mass"] = choose.uniform(0.1, 1, n).astype(np.float32)
        return {"seed": choose.integers(-(2**63), 2**63 - 1, n), **kept}

    def expected(self, rows: Rows) -> np.ndarray:
        """What the graph gives here."""
        if self.endpoint.seeded:
            given = {k: v for k, v in rows.items() if k not in SEEDED}
            described = [vars(i) | {"shape": ["batch", *i.shape]} for i in self.inputs]
            rows = latents.draw(described, rows["seed"], given, rows.get("central_mass"))
        if tiles := self.endpoint.tiles:
            ((name, (picture,)),) = rows.items()
            given = filled(picture, tiles.multiple)
            (whole,) = here(self.graph)({name: given[None]})
            return whole[None, : tiles.scale * len(picture), : tiles.scale * picture.shape[1]]
        return here(self.graph)(rows)


@cache
def here(graph: Path) -> Callable[[Rows], np.ndarray]:
    return session.load(graph.read_bytes(), str(graph))


def values(i: TensorSpec, choose: np.random.Generator, n: int) -> np.ndarray:
    """Rows of one input."""
    if i.dtype == "float32":
        return choose.standard_normal((n, *i.usual), dtype=np.float32)
    return choose.integers(i.size if i.dtype == "int64" else 256, size=(n, *i.usual)).astype(i.dtype)


def models(folders: list[Path]) -> Iterator[Model]:
    """Every endpoint of every export."""
    for folder in folders:
        for endpoint in endpoints_of(manifest_of(folder)):
            yield Model(endpoint, folder / endpoint.graph)


def spoken(backend: Backend, ports: Ports) -> dict[str, str]:
    """The protocols of a server, and where."""
    said = {what.lower(): f"127.0.0.1:{port}" for what, port in backend.listens(ports).items()}
    return {protocol: said[protocol] for protocol in MODULES if protocol in said}


def mixed(served: list[Model], at: dict[str, str], count: int, seed: int) -> Counter[str]:
    """Good requests of random models, batches and protocols, eight at a time; how many got what the graph gives."""

    def one(k: int) -> str:
        choose = np.random.default_rng((seed, k))
        model, protocol = served[choose.integers(len(served))], sorted(at)[k % len(at)]
        most = model.endpoint.max_batch_size
        n = min(most, int(choose.choice([1, 1, 1, 2, 5, most])))
        rows = model.rows(choose, n)
        with MODULES[protocol].InferenceServerClient(at[protocol]) as client:
            got = client.infer(model.name, asked(MODULES[protocol], rows)).as_numpy(model.output)
        expected = model.expected(rows)
        same = got.shape == expected.shape and got.dtype == expected.dtype and near(got, expected)
        return f"{protocol} {'equal' if same else f'DIFFERENT {model.name} batch {n}'}"

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(one, range(count)))


def asked(module, rows: Rows) -> list:
    """As a client of the server wants it."""
    sent = {name: v[:, None] if v.ndim == 1 else v for name, v in rows.items()}
    made = [module.InferInput(name, v.shape, np_to_triton_dtype(v.dtype)) for name, v in sent.items()]
    for tensor, v in zip(made, sent.values(), strict=True):
        tensor.set_data_from_numpy(v)
    return made


def near(got: np.ndarray, expected: np.ndarray) -> bool:
    if got.dtype == np.uint8:
        return float((got != expected).mean()) <= 1e-2 and int(np.abs(got.astype(int) - expected).max()) <= 1
    return float(np.abs(got - expected).max()) <= 1e-5


# --- malformed: each kind makes bytes that no server may take ---

Body = tuple[bytes, dict[str, str]]


def text(rows: dict[str, dict]) -> Body:
    return json.dumps({"inputs": list(rows.values())}).encode(), {}


def tensors(model: Model, choose: random.Random, n: int = 1) -> dict[str, dict]:
    """A good request in JSON."""
    rows = model.rows(np.random.default_rng(choose.getrandbits(32)), n)
    return {name: tensor(name, v) for name, v in rows.items()}


def tensor(name: str, v: np.ndarray) -> dict:
    sent = v[:, None] if v.ndim == 1 else v
    return {
        "name": name,
        "shape": list(sent.shape),
        "datatype": np_to_triton_dtype(v.dtype),
        "data": v.ravel().tolist(),
    }


def one_wrong(change: Callable[[dict, random.Random], dict]) -> Callable[[Model, random.Random], Body]:
    """A good request with one tensor changed."""

    def make(model: Model, choose: random.Random) -> Body:
        good = tensors(model, choose)
        name = choose.choice(sorted(good))
        return text(good | {name: {**good[name], **change(good[name], choose)}})

    return make


def wrong_shape(t: dict, choose: random.Random) -> dict:
    """Of channels, where there are any: the sides of images may be open."""
    dims = list(t["shape"])
    dims[1 if t["datatype"] == "FP32" else -1] += choose.randint(1, 5)
    return {"shape": dims, "data": [0] * int(np.prod(dims))}


def wrong_rank(t: dict, choose: random.Random) -> dict:
    return {"shape": choose.choice([[1, *t["shape"]], t["shape"][:-1], []])}


def wrong_type(t: dict, choose: random.Random) -> dict:
    kinds = {"FP32", "INT64", "INT32", "FP64", "UINT8", "BOOL", "FP33", ""} - {t["datatype"]}
    return {"datatype": choose.choice(sorted(kinds)), "data": [0] * len(t["data"])}


def wrong_data(t: dict, choose: random.Random) -> dict:
    worse = [t["data"][:-1], [*t["data"], 0], ["a"] * len(t["data"]), [None] * len(t["data"]), {}, "x"]
    return {"data": choose.choice(worse)}


def impossible_dimension(t: dict, choose: random.Random) -> dict:
    """Not above 2^31: a product that overflows (2^62 times four bytes) ends Triton 2.51 itself with a fault."""
    dims = list(t["shape"])
    dims[choose.randrange(len(dims))] = choose.choice([-1, -(2**31), 2**20])
    return {"shape": dims}


def over_maximum(model: Model, choose: random.Random) -> Body:
    return text(tensors(model, choose, model.endpoint.max_batch_size + choose.randint(1, 9)))


def wrong_name(model: Model, choose: random.Random) -> Body:
    good = tensors(model, choose)
    name = next(iter(good))
    return text(good | {name: {**good[name], "name": choose.choice(["noise", "", "Z", "seeds", "x" * 300])}})


def missing(model: Model, choose: random.Random) -> Body:
    good = tensors(model, choose)
    return text({} if choose.random() < 0.5 else dict(list(good.items())[1:]))


def doubled_batch(model: Model, choose: random.Random) -> Body:
    """Inputs of one request that disagree about the batch."""
    first, second = tensors(model, choose, 2), tensors(model, choose, 3)
    name = sorted(first)[0]
    if min(len(first), len(second)) == 1 or name not in second:
        return over_maximum(model, choose)
    return text({**second, name: first[name]})


def nan_in_json(model: Model, choose: random.Random) -> Body:
    body, headers = text(tensors(model, choose))
    word = choose.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999"])
    return body.replace(b'"data": [', b'"data": [' + word + b", ", 1), headers


def not_a_number(model: Model, choose: random.Random) -> Body:
    """NaN and infinity as raw bytes, where a seeded model is given them."""
    rows = {"seed": np.array([1]), **{name: np.array([0]) for name in model.labels}}
    bad = np.float32(choose.choice([np.nan, np.inf, -np.inf]))
    given = next(i for i in model.inputs if i.dtype == "float32")
    rows[given.name] = np.full((1, *given.shape), bad, np.float32)
    return raw(rows)


def bad_mass(model: Model, choose: random.Random) -> Body:
    rows = {"seed": np.array([1]), **{name: np.array([0]) for name in model.labels}}
    return raw({**rows, "central_mass": np.float32([choose.choice([0, -1, 1.5, np.nan, np.inf])])})


def bad_label(model: Model, choose: random.Random) -> Body:
    rows = model.rows(np.random.default_rng(0), 1)
    name, size = next(iter(model.labels.items()))
    wrong = [-1, size, 99, 2**62, -(2**63), -size - 1]
    return raw(rows | {name: np.array([choose.choice(wrong)])})


def raw(rows: Rows) -> Body:
    """Tensors as bytes behind a JSON head."""
    sent = {name: v[:, None] if v.ndim == 1 else v for name, v in rows.items()}
    head = [
        {
            "name": name,
            "shape": list(v.shape),
            "datatype": np_to_triton_dtype(v.dtype),
            "parameters": {"binary_data_size": v.nbytes},
        }
        for name, v in sent.items()
    ]
    start = json.dumps({"inputs": head}).encode()
    return start + b"".join(v.tobytes() for v in sent.values()), {"Inference-Header-Content-Length": str(len(start))}


def cut_tensor(model: Model, choose: random.Random) -> Body:
    """Fewer raw bytes than the head says, or a head that ends elsewhere."""
    body, headers = raw(model.rows(np.random.default_rng(choose.getrandbits(32)), 1))
    length = int(headers["Inference-Header-Content-Length"])
    if choose.random() < 0.5:
        return body[: -choose.randint(1, 4)], headers
    wrong = choose.choice([length - 5, length + 3, len(body) + 100, -1, 0])
    return body, {"Inference-Header-Content-Length": str(wrong)}


def cut_json(model: Model, choose: random.Random) -> Body:
    body, headers = text(tensors(model, choose))
    return body[: choose.randrange(len(body) - 1)], headers


def random_bytes(model: Model, choose: random.Random) -> Body:
    return choose.randbytes(choose.choice([0, 1, 17, 400, 5000])), {}


KINDS: dict[str, tuple[Callable[[Model, random.Random], Body], Callable[[Model], bool]]] = {
    "wrong shape": (one_wrong(wrong_shape), lambda m: True),
    "wrong rank": (one_wrong(wrong_rank), lambda m: True),
    "wrong type": (one_wrong(wrong_type), lambda m: True),
    "wrong data": (one_wrong(wrong_data), lambda m: True),
    "wrong name": (wrong_name, lambda m: True),
    "missing input": (missing, lambda m: True),
    "impossible dimension": (one_wrong(impossible_dimension), lambda m: True),
    "batch over the maximum": (over_maximum, lambda m: True),
    "batches that disagree": (doubled_batch, lambda m: True),
    "NaN in JSON": (nan_in_json, lambda m: True),
    "NaN to a seeded model": (not_a_number, lambda m: m.endpoint.seeded),
    "central mass out of range": (bad_mass, lambda m: m.takes_mass),
    "label out of range": (bad_label, lambda m: bool(m.labels)),
    "raw tensor cut short": (cut_tensor, lambda m: True),
    "JSON cut short": (cut_json, lambda m: True),
    "random bytes": (random_bytes, lambda m: True),
}
RAW_KINDS = ("connection cut", "gRPC wrong shape", "gRPC wrong type", "gRPC random bytes")


def malformed(served: list[Model], at: dict[str, str], count: int, seed: int) -> Counter[str]:
    """Requests of every kind in turn, each of which must be refused; a good one after every 25."""
    choose, said = random.Random(seed), Counter()
    kinds = [*KINDS, *(kind for kind in RAW_KINDS if "grpc" in at or "gRPC" not in kind)]
    for k in range(count):
        kind = kinds[k % len(kinds)]
        fitting = [m for m in served if kind in RAW_KINDS or KINDS[kind][1](m)]
        if not fitting:
            kind, fitting = "random bytes", served
        model = choose.choice(fitting)
        if kind == "connection cut":
            refused = cut_connection(model, at["http"], choose)
        elif kind.startswith("gRPC"):
            refused = over_grpc(kind, model, at["grpc"], choose)
        else:
            refused = over_http(model, at["http"], *KINDS[kind][0](model, choose))
        said[f"{kind}: {'refused' if refused else f'TAKEN by {model.name}'}"] += 1
        if k % 25 == 24 or k == count - 1:
            good = choose.choice(served)
            rows = good.rows(np.random.default_rng(k), min(2, good.endpoint.max_batch_size))
            got = client.infer(f"http://{at['http']}", good.name, rows, good.output)
            said["good in between: " + ("equal" if near(got, good.expected(rows)) else f"DIFFERENT {good.name}")] += 1
    return said


def over_http(model: Model, address: str, body: bytes, headers: dict[str, str]) -> bool:
    """Whether the answer is an error with a reason, or none at all."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", f"/v2/models/{model.name}/infer", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (http.client.HTTPException, ConnectionError):
        return True
    finally:
        connection.close()
    return answer.status >= 400 and bool(content)


def cut_connection(model: Model, address: str, choose: random.Random) -> bool:
    """Fewer bytes than announced, then the end: nothing but an error may come back."""
    body, _ = text(tensors(model, choose))
    head = f"POST /v2/models/{model.name}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(address.split(":"), timeout=20) as s:
        s.sendall(head.encode() + body[: choose.randrange(len(body))])
        s.shutdown(socket.SHUT_WR)
        try:
            answer = s.recv(4096)
        except (ConnectionError, TimeoutError):
            answer = b""
    return not answer or not answer.startswith(b"HTTP/1.1 200")


def over_grpc(kind: str, model: Model, address: str, choose: random.Random) -> bool:
    """Whether the answer is an error."""
    if kind == "gRPC random bytes":
        frame = choose.randbytes(choose.choice([1, 9, 300]))
        with socket.create_connection(address.split(":"), timeout=20) as s:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", len(frame))[1:] + frame)
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):  # it may say why before it hangs up
                pass
        return True
    rows = model.rows(np.random.default_rng(choose.getrandbits(32)), 1)
    name = choose.choice(sorted(rows))
    wrong = rows[name].astype(np.int32) if kind == "gRPC wrong type" else np.stack([rows[name]] * 2, -1)
    with tritonclient.grpc.InferenceServerClient(address) as c:
        try:
            c.infer(model.name, asked(tritonclient.grpc, rows | {name: wrong}))
        except InferenceServerException:
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="*", help="exported folders (default: all of exported/)")
    parser.add_argument("--mixed", type=int, default=1000)
    parser.add_argument("--malformed", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--server", choices=BACKENDS, action="append", help="default: one after the other")
    arguments = parser.parse_args()
    folders = arguments.folder or sorted(p.parent for p in (ROOT / "exported").glob("[!.]*/manifest.json"))
    served = list(models(folders))
    print(f"seed {arguments.seed}; {len(served)} models of {len(folders)} runs", flush=True)
    stood = [stands(name, served, folders, arguments) for name in arguments.server or BACKENDS]
    sys.exit(not all(stood))


def stands(name: str, served: list[Model], folders: list[Path], arguments: argparse.Namespace) -> bool:
    """Whether one kind of server stands it all; says what came of it."""
    ports, backend = Ports.free(), BACKENDS[name]
    with backend.launch(folders, ports) as process:
        at = spoken(backend, ports)
        said = mixed(served, at, arguments.mixed, arguments.seed)
        said += malformed(served, at, arguments.malformed, arguments.seed)
        alive = process.poll() is None
    print(f"{name}:")
    for what, n in sorted(said.items()):
        print(f"{n:5} {what}")
    print(f"the server {'still runs' if alive else 'DIED'}", flush=True)
    return alive and not any(word in what for what in said for word in ("DIFFERENT", "TAKEN"))


if __name__ == "__main__":
    main()
