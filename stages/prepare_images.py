"""prepare_images: a user's own images -> packed arrays, their index, and the extractor, as ``prepare`` makes them.

Each process that decodes imports this file first, so what takes a second to import is imported by ``main``.
"""

import os

from gan_core import config, errors
from stages import paths


def main(name: str) -> None:
    from gan_core.datasets.pack import prepare_images
    from gan_core.datasets.prepared import Prepared
    from gan_core.training import guard
    from gan_core.training.progress import Progress
    from gan_core.training.setup import set_up
    from stages.extractor import save_extractor

    params = config.load()
    spec = config.find(params.images, name, "data set under images")
    set_up(params.threads)
    cores = len(os.sched_getaffinity(0))
    with guard.alone(paths.preparing(name), "data set", "prepared"):
        prepare_images(spec, paths.prepared(name), cores, lambda total: Progress(name, total, unit="image"))
        data = Prepared(paths.prepared(name))
        print(f"{name}: {data.index['found']['says']}")
        save_extractor(data, paths.extractor(name))


if __name__ == "__main__":
    errors.run(main, "data set")
