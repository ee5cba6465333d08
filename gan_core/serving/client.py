"""Draws from an exported folder, on this machine or from a server, with the same checks. No torch: NumPy, ONNX Runtime.

from gan_core.serving.client import Generator

images = Generator.open("exported/cgan").draw(range(64), y=3)  # y is the label; the k-th image is that of seed k
images = Generator.open("exported/faces").draw(range(64), y="happiness")  # by the name of its class
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.core import latents
from gan_core.core.classes import number_of
from gan_core.core.pixels import as_pixels, images_of
from gan_core.export import golden
from gan_core.export.manifest import endpoints_of, main_graph, manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError
from gan_core.serving import session
from gan_core.serving.session import Runtime

Array = NDArray[Any]
WIRE = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16}
"""The types of tensors, as servers call them."""
PATIENCE = 60.0
"""Seconds to wait for a server's answer."""


@dataclass(frozen=True)
class Generator:
    """One role of an exported folder that was checked, and whoever computes it."""

    about: Mapping[str, Any]
    """Its entry in manifest.json."""
    compute: Callable[[Mapping[str, Array]], Array]
    """From all inputs, at most as many rows as a batch may have, to the output."""
    seeded: Callable[[Mapping[str, Array]], Array] | None = None
    """The same from seeds and what is given, if whoever computes also draws."""
    on: str = "server"
    """Where: one of ``session.PROVIDERS``, or ``server``."""

    @staticmethod
    def open(
        folder: Path | str, role: str | None = None, file: str | None = None, on: str | Runtime = "cpu"
    ) -> Generator:
        """Run a graph here. ``role``: which, if several draw; ``file``: another graph of it than its pixels or points.

        ``on``: cpu, cuda, tensorrt, tensorrt_rtx, or auto (the last of these that is there), or a ``Runtime``. What a
        GPU computes is held against the folder's golden outputs first.

        Raises:
            DataError: the folder is incomplete, the file is not what the manifest describes, or a GPU gives other
                numbers than it.
            EnvironmentFailure: what was asked for is not there.
            InputError: there is no such role, file or word.
        """
        manifest, role = chosen(Path(folder), role)
        about, name = manifest["roles"][role], file or main_graph(manifest, role)
        if name not in (graphs := about["graphs"]):
            raise InputError(f"{folder} has no graph '{name}' of {role}, only {', '.join(graphs)}")
        model = verified(Path(folder), name, manifest["files"][name])
        ready = session.load(model, str(Path(folder) / name), on if isinstance(on, Runtime) else Runtime(on))
        images = images_of(about["inputs"]) if graphs[name]["pixels"] else ()

        def compute(rows: Mapping[str, Array]) -> Array:
            return ready(as_pixels(rows, images, bits_of(about)))

        if ready.on != "cpu":
            kept = about["golden_outputs"]
            inputs, outputs = golden.from_bytes(verified(Path(folder), kept, manifest["files"][kept]))
            got = golden.thinned(compute(inputs))
            session.hold_against(got, outputs[name], graphs[name]["tolerance"], str(Path(folder) / name), ready.on)
        return Generator(about, compute, on=ready.on)

    @staticmethod
    def connect(url: str, folder: Path | str, role: str | None = None) -> Generator:
        """Ask a server (KServe v2 over HTTP) that has the folder's model repository; the folder says what to ask.

        Raises:
            DataError: the folder is incomplete.
            InputError: there is no such role.
        """
        manifest, role = chosen(Path(folder), role)
        endpoints = endpoints_of(manifest, role)
        model = max((e for e in endpoints if e.is_graph), key=lambda e: e.pixels)
        seeded = [e for e in endpoints if e.seeded]
        output, about = model.output.name, manifest["roles"][role]
        images = images_of(about["inputs"]) if model.pixels else ()
        return Generator(
            about,
            lambda rows: infer(url, model.name, as_pixels(rows, images, bits_of(about)), output),
            (lambda rows: infer(url, seeded[0].name, rows, output)) if seeded else None,
        )

    def draw(self, seeds: Any, /, central_mass: Any = None, **given: Any) -> Array:
        """A sample for every seed: images uint8 or uint16 (N, H, W, C), points float32 (N, D).

        ``given``: labels, which no seed chooses, as numbers or names of classes; and any other input that is to be what
        you say: one row for all, or a row a seed. ``central_mass``: the central share of the normal distribution from
        which latents are drawn.

        Raises:
            InputError: what is wrong with the request.
        """
        try:
            key, rows, share = latents.checked(self.about["inputs"], seeds, self.numbered(given), central_mass)
            if self.seeded is None:
                return self.batches(self.compute, latents.draw(self.about["inputs"], key, rows, central_mass))
        except ValueError as error:
            raise InputError(str(error)) from None
        mass = {} if central_mass is None else {"central_mass": share}
        return self.batches(self.seeded, {"seed": key, **rows, **mass})

    def classes(self, name: str) -> list[str]:
        """The names of the classes that a label may be, by number; none, if nobody named them."""
        return next((list(i.get("classes", ())) for i in self.about["inputs"] if i["name"] == name), [])

    def numbered(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is given, with classes that are named as their numbers.

        Raises:
            ValueError: there is no such class.
        """
        found = {}
        for name, value in given.items():
            words = [value] if isinstance(value, str) else value
            named = isinstance(words, list | tuple) and any(isinstance(word, str) for word in words)
            numbers = [number_of(str(word), self.classes(name)) for word in words] if named else value
            found[name] = numbers[0] if isinstance(value, str) else numbers
        return found

    def read(self, text: Mapping[str, str]) -> dict[str, Any]:
        """Values of inputs as a command line has them: numbers, or names of classes, one or several with commas.

        Raises:
            InputError: they are neither.
        """
        return {name: self.value(name, said) for name, said in text.items()}

    def value(self, name: str, said: str) -> Any:
        """The values of one input."""
        classes = self.classes(name)
        try:
            if classes:
                return [number_of(word, classes) for word in ([said] if said in classes else said.split(","))]
        except ValueError as error:
            raise InputError(f"--given {name}={said}: {error}") from None
        for number in (int, float):
            try:
                return [number(word) for word in said.split(",")]
            except ValueError:
                continue
        raise InputError(f"--given {name}={said} is not of the form NAME=NUMBER or NAME=NUMBER,NUMBER,...")

    def labels(self, n: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is given, for ``n`` samples: whole numbers in turn, and of labels that are not given all in turn."""
        integers = {i["name"]: i for i in self.about["inputs"] if i["prior"] in ("label", "category")}
        everyone = {name: np.arange(i["size"]) for name, i in integers.items() if i["prior"] == "label"}
        return {
            name: np.resize(values, n) if name in integers else values for name, values in {**everyone, **given}.items()
        }

    def run(self, /, **given: Any) -> Array:
        """The output for inputs that are all given, one row a sample.

        Raises:
            InputError: what is wrong with them.
        """
        n = max((len(np.atleast_1d(value)) for value in given.values()), default=0)
        try:
            _, rows, _ = latents.checked(self.about["inputs"], np.arange(n), self.numbered(given))
        except ValueError as error:
            raise InputError(str(error)) from None
        if missing := [i["name"] for i in self.about["inputs"] if i["name"] not in rows]:
            raise InputError(f"'{missing[0]}' is missing")
        return self.batches(self.compute, rows)

    def batches(self, compute: Callable[[Mapping[str, Array]], Array], rows: Mapping[str, Array]) -> Array:
        """As many rows at a time as a batch may have."""
        n, most = len(next(iter(rows.values()))), self.about["max_batch_size"]
        return np.concatenate(
            [compute({name: value[k : k + most] for name, value in rows.items()}) for k in range(0, n, most)]
        )


def chosen(folder: Path, role: str | None) -> tuple[Mapping[str, Any], str]:
    """A folder's manifest, and the role that is meant: the one asked for, or the only one that draws.

    Raises:
        DataError: it holds no finished export.
        InputError: there is no such role, or not one that draws.
    """
    manifest = manifest_of(folder)
    roles = manifest["roles"]
    drawing = [name for name, about in roles.items() if draws(about)]
    if role is None and len(drawing) == 1:
        return manifest, drawing[0]
    if role is not None and role in roles:
        return manifest, role
    if role is None and not drawing:
        raise InputError(f"{folder} draws nothing from a seed: {', '.join(roles)} take data (Generator.run)")
    raise InputError(f"{folder} has no role {role!r}; name one of {', '.join(roles)}")


def bits_of(about: Mapping[str, Any]) -> int:
    """Of a number of a role's pixels."""
    return int(about["provenance"]["network"].get("bits", 8))


def draws(about: Mapping[str, Any]) -> bool:
    """Whether a role is a function of seeds (and labels): it takes no data."""
    return all(i["prior"] in (*latents.DRAWN, *latents.GIVEN) for i in about["inputs"])


def verified(folder: Path, name: str, described: Mapping[str, Any]) -> bytes:
    """A file's content, if it is what the manifest describes.

    Raises:
        DataError: it is not.
    """
    path = folder / name
    content = path.read_bytes() if path.is_file() else b""
    if files.digest(content) != described["sha256"]:
        state = "is corrupt: not what manifest.json describes" if content else "is missing"
        raise DataError(f"{path} {state}; fetch the folder again (`dvc checkout` or `dvc pull`)")
    return content


def infer(url: str, model: str, rows: Mapping[str, Array], output: str, patience: float = PATIENCE) -> Array:
    """One request to a server, tensors as raw bytes both ways; ``patience``: seconds to wait for its answer.

    Raises:
        EnvironmentFailure: no server answers there.
        DataError: it refuses, or answers with something else.
    """
    head, tensors = request_parts(rows, output)
    request = urllib.request.Request(
        f"{url.rstrip('/')}/v2/models/{model}/infer",
        head + tensors,
        {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"},
    )
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            length = answer.headers["Inference-Header-Content-Length"]
            body: bytes = answer.read()
        described = json.loads(body[: int(length)])["outputs"][0]
        content = np.frombuffer(body[int(length) :], WIRE[described["datatype"]])
        return content.reshape(described["shape"])
    except urllib.error.HTTPError as error:
        raise DataError(f"{url} refuses: {refusal(error.read())}") from None
    except urllib.error.URLError as error:
        raise EnvironmentFailure(f"no server answers at {url} ({error.reason}); `make serve` starts one") from None
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{url} did not answer as a KServe v2 server does ({error})") from None


def request_parts(rows: Mapping[str, Array], output: str) -> tuple[bytes, bytes]:
    """The two parts of a request: what is asked, as JSON, and the tensors behind it."""
    sent = {name: value[:, None] if value.ndim == 1 else value for name, value in rows.items()}
    head = {
        "inputs": [
            {
                "name": name,
                "shape": value.shape,
                "datatype": next(kind for kind, dtype in WIRE.items() if dtype == value.dtype),
                "parameters": {"binary_data_size": value.nbytes},
            }
            for name, value in sent.items()
        ],
        "outputs": [{"name": output, "parameters": {"binary_data": True}}],
    }
    return json.dumps(head).encode(), b"".join(np.ascontiguousarray(value).tobytes() for value in sent.values())


def refusal(body: bytes) -> str:
    """The reason in a server's answer."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace") or "without a reason"
