"""evaluate: trained networks -> figures of each role with their protocol, and pictures from pinned inputs."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch

from gan_core import artifact, config, errors, files, gallery, pictures
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.metrics import roles
from gan_core.metrics.measure import in_batches, references
from gan_core.training.setup import set_up
from stages import paths

SHOWN = 64


def main(name: str, dataset: str) -> None:
    params = config.load()
    seed, count = params.evaluate.seed, params.evaluate.samples
    set_up(params.threads)
    data, trained = Prepared(paths.prepared(dataset)), artifact.load_roles(paths.model(name))
    extractor = artifact.load(paths.extractor(dataset))
    spaces = references(extractor.network, data.spaces)
    real = {space: domain.samples("heldout") for space, domain in data.spaces.items()}
    heldout = {space: x.numpy() for space, x in real.items()}
    drawn = [(role, network) for role, network in trained.items() if network.recipe.gives in spaces]
    figures, shown = {}, []
    for role, network in drawn:
        recipe = network.recipe
        sources = [i.prior for i in recipe.inputs if i.is_data]
        n = min([count, *(len(real[s]) for s in sources)])
        inputs = {k: torch.from_numpy(v) for k, v in recipe.pinned(n, seed, heldout).items()}
        fake = in_batches(network.network, *inputs.values())
        pixels = pictures.to_uint8(fake.numpy()) if data.is_image else None
        seen = fake if pixels is None else to_model(torch.from_numpy(pixels))  # what a user sees: 8 bits
        figures[role] = {
            **dict(roles.figures(role, trained, spaces, inputs, seen)),
            **dict(roles.reconstruction(role, trained, spaces["sample"], real["sample"])),
            "protocol": spaces[recipe.gives].protocol(len(fake))
            | {
                "extractor": extractor.recipe.network,
                "extractor_sha256": extractor.sha256,
                "fake_bits": 32 if pixels is None else 8,
                "fid_of_training_data": spaces[recipe.gives].fid(data.spaces[recipe.gives].samples("train")),
                "seed": seed,
                "weights": f"EMA {network.notes['ema_decay']}",
            },
        }
        if pixels is not None:
            each = SHOWN // len(drawn)
            pairs = [pictures.to_uint8(inputs[i.name].numpy()) for i in recipe.inputs if i.is_data] + [pixels]
            shown += [image for row in zip(*pairs, strict=True) for image in row][:each]
        elif not shown:
            shown = [seen.numpy()[:2500]]
    curves = {role: figures_of_curve(n) for role, n in trained.items() if n.recipe.gives == "curve"}
    files.write_json(paths.report(name) / "metrics.json", figures | curves)
    files.write_json(paths.report(name) / "figures.json", numbers(figures))
    picture = (
        pictures.grid(np.stack(shown), "Samples", "From pinned inputs, unchosen.")
        if data.is_image
        else pictures.scatter(shown[0], data.samples("train").numpy()[:2500], "Samples", "Over training data in grey.")
    )
    files.write(paths.report(name) / "samples.png", picture)
    with files.replacing(paths.report(name) / "pictures") as folder:
        for role, _ in drawn:
            for what, made in gallery.pictures_of(role, trained, spaces, data.spaces, seed):
                files.write(folder / f"{role}-{what}.png", made)


def numbers(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Only the numbers, the same columns for every run; of several roles their mean."""
    names = dict.fromkeys(k for found in figures.values() for k, v in found.items() if isinstance(v, int | float))
    return {name: fmean(found[name] for found in figures.values() if name in found) for name in names}


def figures_of_curve(curve: artifact.Artifact) -> dict[str, float]:
    """A curve at 17 places."""
    at = torch.linspace(-4, 4, 17)
    with torch.no_grad():
        values = curve.network(at[:, None]).squeeze(1)
    return {f"at {v:+.1f}": value for v, value in zip(at.tolist(), values.tolist(), strict=True)}


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
