"""evaluate: trained networks -> figures of each role with their protocol, and pictures from pinned inputs."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from gan_core import artifact, config, errors, files, gallery, pictures
from gan_core.datasets.prepared import PARTS, Prepared, to_model
from gan_core.metrics import roles
from gan_core.metrics.distances import frechet, kernel
from gan_core.metrics.inception import Inception
from gan_core.metrics.measure import Reference, features, in_batches, references, with_intervals
from gan_core.training.setup import set_up
from gan_core.types import Sample
from stages import paths

SHOWN = 64


def main(name: str, dataset: str) -> None:
    params = config.load()
    asked = params.evaluate
    set_up(params.threads)
    data, trained = Prepared(paths.prepared(dataset)), artifact.load_roles(paths.model(name))
    extractor = artifact.load(paths.extractor(dataset))
    spaces = references(extractor.network, data.spaces)
    inception = Inception.read(Path(asked.inception)) if asked.inception else None
    drawn = [(role, network) for role, network in trained.items() if network.recipe.gives in spaces]
    figures, shown = {}, []
    for role, network in drawn:
        recipe = network.recipe
        inputs, fake = draw(network, data, asked)
        pixels = pictures.to_uint8(fake.numpy()) if data.is_image else None
        seen = as_seen(fake, data)
        reference, domain = spaces[recipe.gives], data.spaces[recipe.gives]
        found = roles.figures(role, trained, spaces, inputs, seen)
        found.figures |= dict(roles.reconstruction(role, trained, spaces["sample"], data.samples("heldout")))
        if inception and data.is_image:
            found.figures["inception_fid"] = inception.fid(domain.samples("heldout"), seen)
            found.facts |= inception.facts
        figures[role] = {
            **with_intervals(reference, seen, found, asked.resamples, asked.seed),
            **last_step(name, role, data, reference, asked),
            **of_data(domain.index),
            "protocol": reference.protocol(len(fake))
            | found.facts
            | {
                "extractor": extractor.recipe.network,
                "extractor_classes": extractor.notes["classes"],
                "extractor_sha256": extractor.sha256,
                "resize": "none",
                "fake_bits": 32 if pixels is None else 8,
                "fid_of_training_data": frechet(reference.real, reference.train),
                "seed": asked.seed,
                "resamples": asked.resamples,
                "interval": "95 %, of other samples of the same data and weights",
                "weights": f"EMA {network.notes['ema_decay']}",
                "step": network.notes["step"],
                "chosen_by": "the training data",
            },
        }
        if pixels is not None:
            each = SHOWN // len(drawn)
            pairs = [pictures.to_uint8(inputs[i.name].numpy()) for i in recipe.inputs if i.is_data] + [pixels]
            shown += [image for row in zip(*pairs, strict=True) for image in row][:each]
        elif not shown:
            shown = [seen.numpy()[: gallery.POINTS]]
    curves = {role: figures_of_curve(n) for role, n in trained.items() if n.recipe.gives == "curve"}
    files.write_json(paths.report(name) / "metrics.json", figures | curves)
    files.write_json(paths.report(name) / "figures.json", numbers(figures))
    picture = (
        pictures.grid(np.stack(shown), "Samples", "From pinned inputs, unchosen.")
        if data.is_image
        else pictures.scatter(
            shown[0], data.samples("train")[: gallery.POINTS].numpy(), "Samples", "Over training data in grey."
        )
    )
    files.write(paths.report(name) / "samples.png", picture)
    with files.replacing(paths.report(name) / "pictures") as folder:
        for role, _ in drawn:
            for what, made in gallery.pictures_of(role, trained, spaces, data.spaces, asked.seed):
                files.write(folder / f"{role}-{what}.png", made)
    files.write(paths.report(name) / "timeline.png", timeline(name, data))


def numbers(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Only the numbers, the same columns for every run; of several roles their mean."""
    names = dict.fromkeys(k for found in figures.values() for k, v in found.items() if isinstance(v, int | float))
    return {name: fmean(found[name] for found in figures.values() if name in found) for name in names}


def draw(network: artifact.Artifact, data: Prepared, asked: config.Evaluate) -> tuple[dict[str, Tensor], Sample]:
    """The pinned inputs of a network and what it makes of them; of a translator no more than there are real samples."""
    real = {space: domain.samples("heldout") for space, domain in data.spaces.items()}
    n = min([asked.samples, *(len(real[i.prior]) for i in network.recipe.inputs if i.is_data)])
    pinned = network.recipe.pinned(n, asked.seed, real)
    inputs = {name: torch.from_numpy(value) for name, value in pinned.items()}
    return inputs, in_batches(network.network, *inputs.values())


def as_seen(fake: Sample, data: Prepared) -> Sample:
    """Samples as a user sees them: images in 8 bits."""
    return to_model(torch.from_numpy(pictures.to_uint8(fake.numpy()))) if data.is_image else fake


def last_step(
    name: str, role: str, data: Prepared, reference: Reference, asked: config.Evaluate
) -> dict[str, dict[str, float]]:
    """The same figures of the weights at the last step, where those of an earlier one are shipped."""
    path = paths.last(name) / f"{role}.safetensors"
    if not path.is_file():
        return {}
    network = artifact.load(path)
    _, fake = draw(network, data, asked)
    seen = features(reference.extractor, as_seen(fake, data))
    return {
        "last": {
            "step": network.notes["step"],
            "fid": frechet(reference.real, seen),
            "kid": kernel(reference.real, seen),
        }
    }


def of_data(index: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a user's own images: what was found in them when they were prepared, and how many there are of each class."""
    if "found" not in index:
        return {}
    each = zip(index["class_names"], *(index["class_counts"].get(part, ()) for part in PARTS), strict=True)
    counts = {name: {"train": train, "heldout": heldout} for name, train, heldout in each}
    together = "; this of both domains together" if "domains" in index["source"] else ""
    return {"data": {"found": index["found"]["says"] + together, "counts": index["counts"], "classes": counts}}


def timeline(name: str, data: Prepared) -> bytes:
    """Samples from the same inputs at several steps of training."""
    moments: dict[int, list[Sample]] = {}
    for key, x in sorted(safetensors.torch.load(paths.strips(name).read_bytes()).items()):
        moments.setdefault(int(key.partition(".")[0]), []).append(x)
    return gallery.timeline(moments, data.samples("train")[:1000].numpy())


def figures_of_curve(curve: artifact.Artifact) -> dict[str, float]:
    """A curve at 17 places."""
    at = torch.linspace(-4, 4, 17)
    with torch.no_grad():
        values = curve.network(at[:, None]).squeeze(1)
    return {f"at {v:+.1f}": value for v, value in zip(at.tolist(), values.tolist(), strict=True)}


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
