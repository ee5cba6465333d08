"""R3GAN in a few sizes: the values are in presets.yaml, here is what follows from the pictures."""

from __future__ import annotations

from functools import cache
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gan_core.propose.entry import Entry, Value
from gan_core.runtime.errors import InputError

GAMMA = {32: 0.05, 64: 2.0, 256: 150.0}
"""The paper's weight of the penalties when training begins, by pixels of a side (CIFAR-10, FFHQ-64, FFHQ-256)."""
LESS = 10
"""It ends at so much less."""
LOW = 32
"""Up to so many pixels the second of two values of a preset holds."""
POLICY = ["flip", "rotate90", "shift", "scale", "rotation", "aspect", "fractional_shift"]
POLICY += ["brightness", "contrast", "luma_flip", "hue", "saturation"]


@cache
def presets() -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text())
    return found


def preset(name: str) -> dict[str, Any]:
    """One of them.

    Raises:
        InputError: there is none of the name.
    """
    if name not in presets():
        raise InputError(f"--preset {name} is none of {', '.join(presets())}")
    return presets()[name]


def gamma(side: int) -> tuple[float, str]:
    """The weight of the penalties at the start, and why: the paper's, or between its values on logarithmic axes."""
    value = exp(np.interp(log(side), [log(known) for known in GAMMA], [log(known) for known in GAMMA.values()]))
    near = ", ".join(map(str, GAMMA))
    why = f"the paper's at {side} pixels" if side in GAMMA else f"from the paper's at {near} pixels"
    return float(f"{value:.2g}"), why


def over(images: int, start: float, end: float) -> dict[str, Any]:
    """A schedule of the paper's shape."""
    return {"start": start, "end": end, "images": images, "shape": "cosine"}


def batch_size(name: str, side: int) -> int:
    """Of a preset."""
    return int(preset(name)["batch"][side <= LOW])


def run(name: str, dataset: str, side: int, length: Entry, classes: str, bfloat16: bool) -> Entry:
    """The entry of a run of a preset; ``length``: its steps, batch and evaluations."""
    of, low = preset(name), side <= LOW
    images, (weight, why) = of["images"], gamma(side)
    net = {"family": Value("r3gan", of["about"])} | {key: Value(value) for key, value in of["network"].items()}
    p = over(images, 0.0, of["p"][low])
    half_life = over(images, 0.0, float(of["half_life"][low]))
    train = length | {
        "instance_noise": Value(0.0, "the penalties do what noise would"),
        "ema_half_life": Value(half_life, "images: the average forgets ever less"),
    }
    if bfloat16:
        train["precision"] = Value("bfloat16", "as the paper has it; the smallest stage stays in float32")
    settings = {
        "gamma": Value(over(images, weight, weight / LESS), why),
        "learning_rate": Value(over(images, 2e-4, 5e-5), "the paper's"),
        "beta2": Value(over(images, 0.9, 0.99), "the paper's"),
    }
    if (every := of["penalty_every"]) > 1:
        fewer = "steps: fewer penalties, each of more weight; the paper has one each step"
        settings["penalty_every"] = Value(every, fewer)
    if classes:
        settings["conditional"] = Value(True, classes)
    return {
        "variant": Value("r3gan", f"preset {name}, Huang et al. 2024"),
        "dataset": Value(dataset),
        "network": Value(net),
        "train": Value(train),
        "settings": Value(settings),
        "augment": Value({"policy": Value(POLICY, "ADA's, Karras et al. 2020"), "p": Value(p, "the paper's")}),
    }
