"""export: a trained run -> exported/<run>, swapped in only when every artefact has passed the gate."""

import shutil
import sys

from gan_core import artifact, config, errors, files
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.errors import DataError
from gan_core.export.card import card
from gan_core.export.ship import Judge, checksums, ship
from gan_core.metrics.measure import Reference
from gan_core.training.setup import set_up
from stages import paths


def main(run: str, dataset: str) -> None:
    params = config.load()
    set_up(params.threads)
    data, final = Prepared(paths.prepared(dataset)), paths.exported(run)
    extractor = artifact.load(paths.extractor(dataset))
    reference = Reference.of(extractor.network, data.samples("heldout"), data.index)
    judge = Judge(reference.fid, params.evaluate.samples, params.evaluate.seed, to_model)
    new = final.with_name(f".{run}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        roles = {
            path.stem: ship(run, path.stem, artifact.load(path), new, params.export, judge, params.threads)
            for path in sorted(paths.model(run).glob("*.safetensors"))
        }
    except DataError as error:
        shutil.rmtree(new, ignore_errors=True)
        kept = f"; {final} still holds the last good export" if final.exists() else ""
        raise DataError(f"{error}{kept}") from None
    metrics = files.read_json(paths.report(run) / "metrics.json")
    manifest = {"format": 1, "run": run, "dataset": dataset, "metrics": metrics, "roles": roles}
    files.write(new / "README.md", card(manifest, metrics, data.index, dataset).encode())
    files.write(new / "samples.png", (paths.report(run) / "samples.png").read_bytes())
    files.write_json(new / "manifest.json", manifest | {"files": checksums(new)})
    files.swap_in(new, final)


if __name__ == "__main__":
    errors.run(lambda: main(*sys.argv[1:]))
