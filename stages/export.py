"""export: a trained run -> exported/<run>, swapped in only when every artefact has passed the gate."""

from gan_core import artifact, config, errors, files
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.errors import DataError, FoundryError
from gan_core.export.card import card
from gan_core.export.ship import Judge, checksums, ship
from gan_core.metrics.measure import Reference
from gan_core.training.setup import set_up
from stages import paths


def main(run: str, dataset: str) -> None:
    params = config.load()
    set_up(params.threads)
    final = paths.exported(run)
    with files.replacing(final) as new:
        data, trained = Prepared(paths.prepared(dataset)), sorted(paths.model(run).glob("*.safetensors"))
        if not trained:
            raise DataError(f"{paths.model(run)} holds no trained network; run `dvc repro train@{run}`")
        extractor = artifact.load(paths.extractor(dataset))
        reference = Reference.of(extractor.network, data.samples("heldout"), data.index)
        judge = Judge(reference.fid, params.evaluate.samples, params.evaluate.seed, to_model)
        metrics = files.read_json(paths.report(run) / "metrics.json")
        try:
            roles = {
                path.stem: ship(run, path.stem, artifact.load(path), new, params.export, judge, params.threads)
                for path in trained
            }
        except FoundryError as error:
            kept = f"; {final} still holds the last good export" if final.exists() else ""
            raise type(error)(f"{error}{kept}") from None
        manifest = {"format": 1, "run": run, "dataset": dataset, "metrics": metrics, "roles": roles}
        files.write(new / "README.md", card(manifest, metrics, data.index, dataset).encode())
        files.write(new / "samples.png", (paths.report(run) / "samples.png").read_bytes())
        files.write_json(new / "manifest.json", manifest | {"files": checksums(new)})


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
