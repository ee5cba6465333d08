"""import_network: a file from elsewhere -> the network in it, as a run's training leaves its own."""

import json
from pathlib import Path
from typing import Any

from gan_core.config import places
from gan_core.config.load import find, load_params
from gan_core.config.schema import Network, OnnxNetwork
from gan_core.core import artifact
from gan_core.core.lineage import IMPORTED
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.prepared import Prepared
from gan_core.imports import ends, graph, weights
from gan_core.runtime import errors, files
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import InputError
from gan_core.training.history import HEALTH_FORMAT
from stages import paths


def main(name: str) -> None:
    params = load_params()
    declared = find(params.imports, name, "import")
    set_up(params.threads)
    data, path = Prepared(paths.prepared(declared.dataset)), Path(declared.file)
    for key, sentence in places.files_missing({name: declared}, Path()):
        raise InputError(f"{key} {sentence}")
    origin: dict[str, Any] = {"file": path.name, "sha256": files.file_digest(path)}
    match declared.network:
        case OnnxNetwork() as asked:
            compared = ends.Data(declared.dataset, data.shape, data.classes, tuple(data.spaces), data.bits)
            foreign = ends.understood(path, ends.read(path), asked, compared)
            network, config = graph.imported(foreign, compared, params.export.opset, params.threads)
            origin |= ends.about(foreign)
        case Network(family, width, latent, options):
            spec = NetworkSpec(family, width, latent, data.shape, data.classes, options, data.bits, data.scale)
            network, config = weights.imported(path, spec)
    class_names = data.index.get("class_names") or []
    named = {"class_names": json.dumps(class_names)} if class_names else {}
    notes = {"run": name, "data": data.index["sha256"], **named, IMPORTED: origin}
    role = "translator" if any(i.is_data for i in config.inputs) else "generator"
    with files.replacing(paths.model(name)) as folder:
        artifact.save(folder / f"{role}.safetensors", network, config, notes)
    files.write_json(paths.report(name) / "health.json", {"format": HEALTH_FORMAT, "events": None})


if __name__ == "__main__":
    errors.run(main, "name")
