"""Autoencoders on real pictures: what is left of held-out emoji of 64 pixels after encoder and decoder.

``python -m benchmarks.autoencoders WORK vae kl vq`` fetches emoji (``examples.emoji``) into the folder WORK, trains the
runs there by their stages, one after the other, and measures the averaged weights of the last step on held-out emoji:
no skin tone of one that was trained on is among them. Started again it goes on where it was. Rows are replaced in
``benchmarks/results/autoencoders.json``, and the page beside it is written.

The bars were written before anything was measured. ``kl`` and ``vq``, ``autoencoder`` with its two regularisations and
f 8: the energy of the Laplacian of reconstructions is within 10 % of that of the pictures themselves, and the
perceptual distance is below that of ``vae`` after as many steps, whose latent holds as many numbers. PSNR is reported
and has no bar. ``regression``, ``kl`` without a discriminator, is there to compare with and has none.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.machine import kept
from benchmarks.recipes import stage
from gan_core.core import artifact
from gan_core.core.samples import Sample
from gan_core.data.prepared import Prepared
from gan_core.forecast.measure import ROOT
from gan_core.metrics import roles
from gan_core.metrics.batching import in_batches
from gan_core.metrics.drawn import with_latents
from gan_core.metrics.similarity import psnr, ssim
from gan_core.networks.efficientnet_lite0 import lite0, perceptual_distance
from gan_core.runtime import files
from gan_core.runtime.device import set_up
from gan_core.training.warm import AVERAGES
from stages import paths

RESULTS = ROOT / "benchmarks/results/autoencoders.json"
IMAGES: dict[str, Any] = {
    "path": "pictures/google",
    "labels": False,
    "heldout": "official",
    "size": 64,
    "channels": 3,
    "fit": "exact",
    "background": 255,
    "flip": True,
    "on_bad_image": "error",
}
TRAIN: dict[str, Any] = {
    "batch_size": 8,
    "instance_noise": 0.0,
    "ema_half_life": 2_000,
    "steps": 1_500,
    "evaluate_every": 1_500,
    "channels_last": False,
    "precision": "bfloat16",
}
NETWORK = {"family": "autoencoder", "width": 16, "latent": 4, "blocks": 1}
RATE = {"learning_rate": 5e-4}
RUNS: Mapping[str, dict[str, Any]] = {
    "vae": {"variant": "vae", "network": {"family": "dcgan", "width": 32, "latent": 256}},
    "kl": {"variant": "autoencoder", "network": NETWORK, "settings": RATE},
    "vq": {"variant": "autoencoder", "network": NETWORK, "settings": RATE | {"regularisation": "vq"}},
    "regression": {"variant": "autoencoder", "network": NETWORK, "settings": RATE | {"adversarial": 0.0}},
}
FIGURES = ("sharpness", "perceptual", "psnr", "ssim", "l1")


def laplacian_energy(x: Sample) -> Tensor:
    """The mean square of the Laplacian of images (N, C, H, W), over channels and places, (N,)."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return conv2d(x.flatten(0, 1)[:, None], kernel[None, None]).square().reshape(len(x), -1).mean(1)


def compared(x: Sample, y: Sample) -> Tensor:
    """Held-out images and their reconstructions: columns of figures, (N, 6), the first two energies."""
    y = y.clamp(-1, 1)
    perceptual = perceptual_distance(lite0().levels(x), lite0().levels(y))
    columns = (laplacian_energy(y), laplacian_energy(x), perceptual, psnr(x, y), ssim(x, y), roles.l1(x, y))
    return torch.stack([column.double() for column in columns], 1)


def measured(run: str) -> dict[str, float]:
    """Figures of the averaged weights at the last step."""
    set_up(1)
    networks = artifact.load_roles(paths.players(run) / AVERAGES)
    encoder, decoder = networks["encoder"].network, networks["decoder"].network
    heldout = Prepared(paths.prepared("emoji")).samples("heldout")
    found = in_batches(lambda x: compared(x, decoder(encoder(x))), heldout, rows=64).mean(0).tolist()
    figures = dict(zip(FIGURES, (found[0] / found[1], *found[2:]), strict=True))
    if networks["decoder"].config.inputs[0].prior == "latent":
        z = with_latents(networks, {"x": heldout})["latent"]
        figures |= dict(roles.of_latents(z, decoder))
    return figures | {"pictures": len(heldout)}


def declare(work: Path, run: str) -> None:
    """params.yaml with one run."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree |= {"images": {"emoji": IMAGES}, "runs": {run: RUNS[run] | {"dataset": "emoji", "train": TRAIN}}}
    files.write(work / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())


def rows(work: Path, asked: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train and measure each run."""
    os.chdir(work)
    if not (work / "pictures/google").is_dir():
        stage(work, ["-m", "examples.emoji", "pictures/google", "google"])
    for run in asked:
        declare(work, run)
        if not paths.extractor("emoji").is_file():
            stage(work, ["-m", "stages.prepare_images", "emoji"])
        begun = time.perf_counter()
        stage(work, ["-m", "stages.train", run])
        took = time.perf_counter() - begun
        yield run, {"figures": measured(run), "steps": TRAIN["steps"], "seconds": took}


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Autoencoders", "", __doc__.partition("\n\n")[2].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, torch {torch}, {date}.".format(**result["machine"]), ""]
    lines += ["| run | minutes | Laplacian energy, of real | perceptual | PSNR | SSIM | L1 |", "|---|" + "---:|" * 6]
    formats = ("{:.2f}", "{:.3f}", "{:.2f}", "{:.3f}", "{:.4f}")
    for run, row in result["comparisons"].items():
        cells = " | ".join(f.format(row["figures"][k]) for f, k in zip(formats, FIGURES, strict=True))
        lines.append(f"| {run} | {row['seconds'] / 60:.0f} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path, help="a folder for pictures, runs and their states")
    asked.add_argument("runs", nargs="+", choices=[*RUNS])
    arguments = asked.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for run, row in rows(work, arguments.runs):
        kept(RESULTS, page, row, run)
        print(f"{run}: {row}", flush=True)


if __name__ == "__main__":
    main()
