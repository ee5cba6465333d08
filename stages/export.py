"""export: a trained run -> exported/<run>, swapped in only when every artefact has passed the gate."""

from functools import partial
from math import prod

from gan_core.config.load import load_params
from gan_core.core import artifact
from gan_core.data.prepared import Prepared
from gan_core.export.card import card
from gan_core.export.manifest import FORMAT, endpoint_json
from gan_core.export.ship import AcceptanceReference, checksums, gated, ship
from gan_core.metrics.drawn import with_latents
from gan_core.metrics.measure import references
from gan_core.metrics.record import read_figures
from gan_core.runtime import errors, files
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import FoundryError
from gan_core.serving.backends.triton import repository
from stages import paths


def main(run: str, dataset: str) -> None:
    params = load_params()
    set_up(params.threads)
    final = paths.exported(run)
    with files.replacing(final) as new:
        data, trained = Prepared(paths.prepared(dataset)), artifact.load_roles(paths.model(run))
        compared = references(data, artifact.load(paths.extractor(dataset)), params.evaluate, paths.FEATURES)
        reference = AcceptanceReference(
            {space: of.fd for space, of in compared.items()},
            with_latents(trained, {space: domain.samples("heldout") for space, domain in data.spaces.items()}),
            gated(params.evaluate.samples, prod(data.shape)),
            params.evaluate.seed,
        )
        serving = params.export.serving
        write = partial(repository.write, instances=serving.instances, cache=serving.cache)
        metrics = read_figures(paths.report(run) / "metrics.json")
        roles, endpoints = {}, []
        try:
            for role, network in trained.items():
                if network.config.output_space != "curve":
                    roles[role], offered = ship(
                        run, role, network, new, params.export, reference, params.threads, write
                    )
                    endpoints += [endpoint_json(endpoint) for endpoint in offered]
        except FoundryError as error:
            kept = f"; {final} still holds the last good export" if final.exists() else ""
            raise type(error)(f"{error}{kept}") from None
        manifest = {
            "format": FORMAT,
            "run": run,
            "dataset": dataset,
            "metrics": metrics,
            "roles": roles,
            "endpoints": endpoints,
        }
        files.write(new / "README.md", card(manifest, data.index).encode())
        files.write(new / "samples.png", (paths.report(run) / "samples.png").read_bytes())
        files.write_json(new / "manifest.json", manifest | {"files": checksums(new)})


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
