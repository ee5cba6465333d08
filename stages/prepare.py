"""prepare: a declared data set -> one packed file, its index, and the extractor its generators are measured by."""

from pathlib import Path

import torch

from gan_core import artifact, config, errors
from gan_core.datasets import sources
from gan_core.datasets.prepared import Batches, Prepared, prepare
from gan_core.errors import DataError
from gan_core.networks.build import build
from gan_core.seeds import fold
from gan_core.signature import Recipe
from gan_core.training.extractor import accuracy, train_classifier
from gan_core.training.setup import set_up
from stages import paths

BATCH, WIDTH, SEED = 64, 16, 0
STEPS_A_CLASS, FEWEST_STEPS, MOST_STEPS = 80, 800, 4000


def main(name: str) -> None:
    params = config.load()
    spec = config.find(params.datasets, name, "data set")
    set_up(params.threads)
    prepare(sources.read(spec), spec, paths.prepared(name))
    data = Prepared(paths.prepared(name))
    save_extractor(data, paths.extractor(name))


def save_extractor(data: Prepared, path: Path) -> None:
    """Train it on the labelled samples of all domains, so that its features and labels hold in each, and save it.

    Raises:
        DataError: images without labels.
    """
    united = data.united
    heldout = united.labels("heldout")
    if data.is_image and heldout is None:
        raise DataError(f"the extractor needs labels, and the images in {data.folder} have none; label them")
    notes: dict[str, object] = {"data": data.index["sha256"]}
    recipe = Recipe("classifier.identity", data.shape, 1)
    if data.is_image:
        recipe = Recipe("classifier.conv", data.shape, WIDTH, outputs=data.classes)
    torch.manual_seed(fold(SEED, "extractor"))
    network = build(recipe)
    if data.is_image and heldout is not None:
        batches = Batches(united, min(BATCH, united.index["counts"]["train"]), SEED, noise=0.05)
        train_classifier(network, batches.at, steps(data.classes), SEED)
        notes["heldout_accuracy"] = accuracy(network, united.samples("heldout"), heldout)
        print(f"{path}: held-out accuracy {notes['heldout_accuracy']:.4f}")
    artifact.save(path, network, recipe, notes)


def steps(classes: int) -> int:
    """How long the extractor trains: longer for more classes, within limits."""
    return min(max(STEPS_A_CLASS * classes, FEWEST_STEPS), MOST_STEPS)


if __name__ == "__main__":
    errors.run(main, "data set")
