"""export: a trained run -> exported/<run>, swapped in only when every artefact has passed the gate."""

from gan_core import artifact, config, errors, files
from gan_core.datasets.prepared import Prepared, to_model
from gan_core.errors import FoundryError
from gan_core.export.card import card
from gan_core.export.ship import Judge, checksums, ship
from gan_core.exported import FORMAT
from gan_core.metrics.measure import references
from gan_core.training.setup import set_up
from stages import paths


def main(run: str, dataset: str) -> None:
    params = config.load()
    set_up(params.threads)
    final = paths.exported(run)
    with files.replacing(final) as new:
        data, trained = Prepared(paths.prepared(dataset)), artifact.load_roles(paths.model(run))
        spaces = references(artifact.load(paths.extractor(dataset)).network, data.spaces)
        judge = Judge(
            {space: reference.fid for space, reference in spaces.items()},
            {space: domain.samples("heldout") for space, domain in data.spaces.items()},
            params.evaluate.samples,
            params.evaluate.seed,
            to_model,
        )
        metrics = files.read_json(paths.report(run) / "metrics.json")
        try:
            roles = {
                role: ship(run, role, network, new, params.export, judge, params.threads)
                for role, network in trained.items()
                if network.recipe.gives != "curve"
            }
        except FoundryError as error:
            kept = f"; {final} still holds the last good export" if final.exists() else ""
            raise type(error)(f"{error}{kept}") from None
        manifest = {"format": FORMAT, "run": run, "dataset": dataset, "metrics": metrics, "roles": roles}
        files.write(new / "README.md", card(manifest, data.index).encode())
        files.write(new / "samples.png", (paths.report(run) / "samples.png").read_bytes())
        files.write_json(new / "manifest.json", manifest | {"files": checksums(new)})


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
