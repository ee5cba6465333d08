"""The extractor of a prepared data set: what its generators are measured by. Both ways to prepare end with it."""

from pathlib import Path

import torch

from gan_core import artifact
from gan_core.datasets.prepared import Batches, Prepared, to_model
from gan_core.networks.build import build
from gan_core.seeds import fold
from gan_core.signature import Recipe
from gan_core.training.extractor import accuracy, clusters, train_classifier

BATCH, WIDTH, SEED = 64, 16, 0
STEPS_A_CLASS, FEWEST_STEPS, MOST_STEPS = 80, 800, 4000


def save_extractor(data: Prepared, path: Path) -> None:
    """Train it on the labelled samples of all domains, so that its features and labels hold in each, and save it.

    Images without labels, or of one class, are told apart by what k-means finds in them.
    """
    united = data.united
    notes: dict[str, object] = {"data": data.index["sha256"], "classes": "of the data set"}
    recipe = Recipe("classifier.identity", data.shape, 1)
    if data.is_image:
        if data.classes < 2:
            united = united.labelled(*clusters(united.raw, SEED))
            notes["classes"] = f"found by k-means: {united.classes}"
        recipe = Recipe("classifier.conv", data.shape, WIDTH, outputs=united.classes)
    torch.manual_seed(fold(SEED, "extractor"))
    network = build(recipe)
    heldout = united.labels("heldout")
    if data.is_image and heldout is not None:
        batches = Batches(united, min(BATCH, len(united.raw("train"))), SEED, noise=0.05)
        train_classifier(network, batches.at, steps(united.classes), SEED)
        notes["heldout_accuracy"] = accuracy(network, united.raw("heldout"), heldout, to_model)
        print(f"{path}: held-out accuracy {notes['heldout_accuracy']:.4f} (classes {notes['classes']})")
    artifact.save(path, network, recipe, notes)


def steps(classes: int) -> int:
    """How long the extractor trains: longer for more classes, within limits."""
    return min(max(STEPS_A_CLASS * classes, FEWEST_STEPS), MOST_STEPS)
