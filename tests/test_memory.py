"""A prepared set may be larger than memory: no stage converts a whole part of it, and files are only mapped."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_core.config.load import load_params
from gan_core.data import batches, packed
from gan_core.data.packed import mapped
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import Raw
from gan_core.metrics import extractor
from gan_core.metrics.extractor import save_extractor
from stages import evaluate, export, paths, train
from tests.conftest import DECLARED, DIGITS, DOMAINS, ROOT

PART = 6_000
"""Samples of each part of each domain: more numbers than any stage makes at once, those inside networks included."""
FAMILIES = {"vae_gan": "mlp", "cycle_gan": "resnet", "cgan": "dcgan"}


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor of floats has that torch makes."""

    most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        sizes = [t.numel() for t in tree_leaves(made) if isinstance(t, Tensor) and t.is_floating_point()]
        self.most = max([self.most, *sizes])
        return made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared set of two domains of random images in ten classes, and runs on it."""
    folder = tmp_path_factory.mktemp("large")
    params = OmegaConf.load(DECLARED)
    params.runs = {
        variant: {
            "variant": variant,
            "dataset": "recolour",
            "network": {"family": family, "width": 4, "latent": 0 if family == "resnet" else 4},
            "train": {"steps": 4, "batch_size": 4, "evaluate_every": 2, "instance_noise": 0.0},
        }
        for variant, family in FAMILIES.items()
    }
    params.evaluate.samples, params.evaluate.resamples = 500, 20
    params.export.engines.flavour, params.export.engines.precisions = "none", ["fp32"]
    params.export.precisions = {"fp32": params.export.precisions.fp32}
    OmegaConf.save(params, folder / "params.yaml")
    rng = np.random.default_rng(0)
    one, other = (
        Raw(rng.integers(0, 256, (2 * PART, 8, 8, 3), np.uint8), rng.integers(0, 10, 2 * PART), 10) for _ in range(2)
    )
    spec = replace(DOMAINS, heldout=0.5)
    prepare(Raw(one.samples, one.labels, 10, {"licence": "none"}, other), spec, folder / "data/prepared/recolour")
    return folder


def test_no_stage_converts_a_whole_part(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a stage makes of samples at once is less than a part of them, in torch; and asked for at once, too.

    But for parts so small that training keeps them as floats, and the few that k-means sees, both bounded.
    """
    monkeypatch.chdir(large)
    monkeypatch.setattr(batches, "MAX_CACHED", PART * 8 * 8 * 3 - 1)
    monkeypatch.setattr(extractor, "CLUSTERED", 1_000)
    asked: list[int] = []
    to_model = packed.to_model
    for module in (packed, batches, extractor):
        monkeypatch.setattr(module, "to_model", lambda raw: (asked.append(len(raw)), to_model(raw))[1])
    data = Prepared(paths.prepared("recolour"))
    with Largest() as largest:
        save_extractor(data, load_params(DECLARED).extractor, paths.extractor("recolour"))
        extractor.clusters(data.raw, 0)
        for variant in FAMILIES:
            train.main(variant)
            evaluate.main(variant, "recolour")
    assert 0 < largest.most < PART * 8 * 8 * 3
    for variant in FAMILIES:
        export.main(variant, "recolour")
    assert 0 < max(asked) <= 1_024 < PART


def test_a_file_larger_than_memory_is_mapped(tmp_path: Path) -> None:
    """A tebibyte, of which nothing is written; and what is written to it is not in the file."""
    with (tmp_path / "x.npy").open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 28, 64, 64)})
        file.truncate(file.tell() + (1 << 40))
    with pytest.raises(OSError, match="Cannot allocate memory"):
        np.load(tmp_path / "x.npy", mmap_mode="c")
    x = torch.from_numpy(mapped(tmp_path / "x.npy"))
    x[-1, -1, -1] = 7
    assert x[-2:].sum() == 7
    assert mapped(tmp_path / "x.npy")[-1, -1, -1] == 0


SIDE, MIB = 256, 1 << 20
STAGES = (["train", "tiny"], ["evaluate", "tiny", "pictures"], ["export", "tiny", "pictures"])


def test_no_stage_makes_or_keeps_more_of_large_pictures(tmp_path: Path) -> None:
    """Pictures of 256 pixels: each stage in less than 1 GiB, though its samples are many times that as floats.

    What is kept beside the weights is less than 10 MiB: of the model, of the report, and of what is exported.
    """
    params = OmegaConf.load(DECLARED)
    network = {"family": "dcgan", "width": 4, "latent": 8}
    train = {"steps": 2, "batch_size": 8, "evaluate_every": 2}
    params.datasets, params.images = {"pictures": {"source": "digits", "heldout": 0.5}}, {}
    params.runs = {"tiny": {"variant": "gan", "dataset": "pictures", "network": network, "train": train}}
    params.evaluate.samples, params.evaluate.resamples = 1_000, 20
    params.extractor.min_steps = params.extractor.max_steps = 20
    params.export.max_batch_size, params.export.engines.flavour, params.export.engines.precisions = 8, "none", ["fp32"]
    params.export.precisions = {"fp32": params.export.precisions.fp32}
    OmegaConf.save(params, tmp_path / "params.yaml")
    low = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    pictures = torch.nn.functional.interpolate(low, SIDE, mode="bilinear").byte().permute(0, 2, 3, 1).numpy()
    raw = Raw(pictures, np.arange(400) % 5, 5, {"licence": "none"})
    prepare(raw, replace(DIGITS, heldout=0.5), tmp_path / "data/prepared/pictures")
    extractor = "from gan_core.config.load import load_params; from gan_core.data.prepared import Prepared\n"
    extractor += "from gan_core.metrics.extractor import save_extractor; from stages import paths\n"
    extractor += (
        "save_extractor(Prepared(paths.prepared('pictures')), load_params().extractor, paths.extractor('pictures'))"
    )
    stages = [f"from stages import {name}; {name}.main(*{arguments})" for name, *arguments in STAGES]
    assert 4 * raw.samples[0].size * 1_000 > 700 * MIB, "and a process has 300 MiB before it does anything"
    for program in (extractor, *stages):
        done = subprocess.run(
            [sys.executable, "-c", f"{program}\nprint(open('/proc/self/status').read())"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
            capture_output=True,
        )
        assert not done.returncode, done.stderr
        (peak,) = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("VmHWM")]
        assert peak * 1024 < 1024 * MIB, program
    for folder in ("models/tiny", "reports/tiny", "exported/tiny"):
        assert sum(p.stat().st_size for p in (tmp_path / folder).rglob("*") if p.is_file()) < 10 * MIB, folder
