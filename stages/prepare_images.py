"""prepare_images: a user's own images -> packed arrays, their index, and the extractor, as ``prepare`` makes them.

Each process that decodes imports this file first, so what takes a second to import is imported by ``main``.
"""

from pathlib import Path

from gan_core.config.load import find, load_params
from gan_core.core.feature_names import feature_name
from gan_core.runtime import errors
from gan_core.runtime.machine import usable_cores
from stages import paths

AGAIN = 3
"""Times that a set is prepared if its files change meanwhile."""


def main(name: str) -> None:
    from gan_core.data.found import in_lines
    from gan_core.data.prepare_images import prepare_images
    from gan_core.data.prepared import Prepared
    from gan_core.data.readers.containers import state_of
    from gan_core.metrics.extractor import save_extractor
    from gan_core.runtime.device import set_up
    from gan_core.runtime.process import exclusive_lock
    from gan_core.runtime.progress import Progress

    params = load_params()
    spec = find(params.images, name, "data set under images")
    set_up(params.threads)
    cores = max(1, int(usable_cores()))
    with exclusive_lock(paths.preparing(name), "data set", "prepared"):
        for _ in range(AGAIN):
            before = state_of(Path(spec.path))
            prepare_images(spec, paths.prepared(name), cores, lambda total: Progress(name, total, unit="image"))
            data = Prepared(paths.prepared(name))
            print("\n".join(f"{name}: {line}" for line in in_lines(data.index["found"])))
            features = feature_name(params.evaluate.features, data.shape)
            save_extractor(data, params.extractor, paths.extractor(name), features)
            if state_of(Path(spec.path)) == before:  # what DVC records is what is there now
                return
            print(f"{name}: files in {spec.path} have changed meanwhile, so it is prepared again")
    raise errors.DataError(f"{spec.path} kept changing while it was prepared; run this when nothing writes to it")


if __name__ == "__main__":
    errors.run(main, "data set")
