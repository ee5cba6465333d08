"""evaluate: a trained generator -> figures with their protocol, and a picture of pinned samples."""

import torch

from gan_core import artifact, config, errors, files, pictures
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.metrics.measure import NEIGHBOURS, Reference, in_batches, measure, prdc_count
from gan_core.training.setup import set_up
from stages import paths

SHOWN = 64


def main(name: str, dataset: str) -> None:
    params = config.load()
    evaluate = params.evaluate
    set_up(params.threads)
    data, generator = Prepared(paths.prepared(dataset)), artifact.load(paths.model(name) / "generator.safetensors")
    extractor = artifact.load(paths.extractor(dataset))
    pinned = generator.recipe.pinned(evaluate.samples, evaluate.seed)
    latents = {name: torch.from_numpy(value) for name, value in pinned.items()}
    asked = next((latents[i.name] for i in generator.recipe.inputs if i.prior == "label"), None)
    fake = in_batches(generator.network, *latents.values())
    if data.is_image:  # what a user sees: 8 bits
        pixels = pictures.to_uint8(fake.numpy())
        fake = to_model(torch.from_numpy(pixels))
        picture = pictures.grid(pixels[:SHOWN])
    else:
        picture = pictures.scatter(fake.numpy()[:2500], data.samples("train").numpy()[:2500])
    reference = Reference.of(extractor.network, data.samples("heldout"), data.index)
    floor = reference.fid(data.samples("train"))
    protocol = {
        "extractor": extractor.recipe.network,
        "extractor_sha256": extractor.sha256,
        "real": "heldout",
        "real_count": data.index["counts"]["heldout"],
        "fake_count": evaluate.samples,
        "prdc_count": prdc_count(data.index["counts"]["heldout"], evaluate.samples),
        "prdc_neighbours": NEIGHBOURS,
        "fake_bits": 8 if data.is_image else 32,
        "seed": evaluate.seed,
        "weights": f"EMA {generator.notes['ema_decay']}",
        "fid_of_training_data": floor,
    }
    figures = dict(measure(reference, fake, asked))
    files.write_json(paths.report(name) / "metrics.json", {**figures, "protocol": protocol})
    files.write(paths.report(name) / "samples.png", picture)


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
