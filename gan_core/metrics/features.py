"""The networks in whose features samples are compared, and the features of real samples, which are kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.core.artifact import Artifact
from gan_core.core.samples import Samples
from gan_core.metrics.batching import in_batches
from gan_core.metrics.distances import Features
from gan_core.metrics.inception import Inception
from gan_core.networks.efficientnet_lite0 import SHA256, SIDE, lite0
from gan_core.runtime import files

ALONE = 16
"""Samples that one thread looks at by itself: in batches of the cache's size, a network of thin layers is fastest."""
REMEMBERED = 24
"""So many sets of real features are kept, the latest."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A frozen network, and how it is asked.

    ``costly``: tens of milliseconds a picture, so figures look at fewer of them; each thread looks at a few by itself,
    which is fast, and the bits do not depend on the number of threads.
    """

    name: str
    extract: Callable[[Tensor], Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)
    costly: bool = False
    device: str = "cpu"
    cache: Path | None = None

    def __call__(self, x: Samples) -> Features:
        """(N, D) float64 of samples on any device."""
        if not self.costly or self.device != "cpu":
            out: Features = in_batches(lambda some: self.extract(some.to(self.device)).cpu(), x).double().numpy()
            return out
        threads = torch.get_num_threads()
        together = Barrier(threads)

        def alone() -> None:
            torch.get_num_threads()  # a thread takes over the process's number when it first asks, and then no more
            torch.set_num_threads(1)
            together.wait()

        def few(some: Tensor) -> Tensor:
            with torch.no_grad():
                return self.extract(some)

        with ThreadPoolExecutor(threads, initializer=alone) as pool:
            list(pool.map(lambda _: None, range(threads)))
            torch.set_num_threads(threads)  # of this thread, which may draw what is looked at
            found = in_batches(lambda some: torch.cat([*pool.map(few, torch.split(some.cpu(), ALONE))]), x)
        return np.asarray(found.double().numpy())

    def remembered(self, x: Samples, *which: str | int) -> Features:
        """The same of real samples; ``which`` says what they are. A costly network is asked once for them."""
        if self.cache is None or not self.costly:
            return self(x)
        key = files.digest("/".join(map(str, (self.name, self.facts.get("sha256"), *which))).encode())
        path = self.cache / f"{key[:32]}.npy"
        content = path.read_bytes() if path.is_file() else b""
        if files.digest(content[64:]).encode() == content[:64]:
            return np.load(io.BytesIO(content[64:])).astype(np.float64)  # type: ignore[no-any-return]
        found, buffer = self(x), io.BytesIO()
        np.save(buffer, found.astype(np.float32))  # what the network gives, to the bit
        files.write(path, files.digest(buffer.getvalue()).encode() + buffer.getvalue())
        for old in sorted(self.cache.glob("*.npy"), key=lambda p: p.stat().st_mtime)[:-REMEMBERED]:
            old.unlink(missing_ok=True)
        return found


def of_network(name: str, network: nn.Module, facts: Mapping[str, Any] | None = None) -> FeatureNetwork:
    """The features of a network of ours."""
    return FeatureNetwork(name, network.features, facts or {})  # type: ignore[arg-type]


def feature_network(
    name: str, own: Artifact, inception: str | None, device: str = "cpu", cache: Path | None = None
) -> FeatureNetwork:
    """The network of a name (``feature_name``).

    ``own``: the data set's classifier; ``cache``: a folder for features of real samples.

    Raises:
        DataError: weights are not there.
    """
    if name == "lite0":
        facts = {"sha256": SHA256, "resize": f"bicubic to {SIDE}, antialiased; grey repeated to three channels"}
        return FeatureNetwork(name, lite0().to(device).features, facts, True, device, cache)
    if name == "inception":
        read = Inception.read(Path(str(inception)))
        return FeatureNetwork(name, read.to(device).few, read.facts, True, device, cache)
    facts = {"sha256": own.sha256, "network": own.config.network, "classes": own.notes["classes"]}
    if "heldout_accuracy" in own.notes:
        facts["heldout_accuracy"] = own.notes["heldout_accuracy"]
    return FeatureNetwork(name, own.network.to(device).features, facts, device=device)  # type: ignore[arg-type]
