"""prepare: a declared data set -> packed arrays, their index, and the extractor its generators are measured by."""

from gan_core.config.load import find, load_params
from gan_core.core.feature_names import feature_name
from gan_core.data import sources
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.metrics.extractor import save_extractor
from gan_core.runtime import errors
from gan_core.runtime.device import set_up
from gan_core.runtime.process import exclusive_lock
from stages import paths


def main(name: str) -> None:
    params = load_params()
    spec = find(params.datasets, name, "data set")
    set_up(params.threads)
    with exclusive_lock(paths.preparing(name), "data set", "prepared"):
        prepare(sources.read(spec), spec, paths.prepared(name))
        data = Prepared(paths.prepared(name))
        features = feature_name(params.evaluate.features, data.shape)
        save_extractor(data, params.extractor, paths.extractor(name), features)


if __name__ == "__main__":
    errors.run(main, "data set")
