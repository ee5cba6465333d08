"""prepare: a declared data set -> packed arrays, their index, and the extractor its generators are measured by."""

from gan_core import config, errors
from gan_core.datasets import sources
from gan_core.datasets.prepared import Prepared, prepare
from gan_core.training import guard
from gan_core.training.setup import set_up
from stages import paths
from stages.extractor import save_extractor


def main(name: str) -> None:
    params = config.load()
    spec = config.find(params.datasets, name, "data set")
    set_up(params.threads)
    with guard.alone(paths.preparing(name), "data set", "prepared"):
        prepare(sources.read(spec), spec, paths.prepared(name))
        save_extractor(Prepared(paths.prepared(name)), paths.extractor(name))


if __name__ == "__main__":
    errors.run(main, "data set")
