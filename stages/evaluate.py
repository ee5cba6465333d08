"""evaluate: trained networks -> figures of each role with their protocol, and pictures from fixed inputs."""

from gan_core.config.load import load_params
from gan_core.core import artifact
from gan_core.data.prepared import Prepared
from gan_core.metrics.evaluate import evaluate
from gan_core.metrics.measure import references
from gan_core.metrics.record import write_figures
from gan_core.report import gallery
from gan_core.report.headline import headline
from gan_core.runtime import errors, files
from gan_core.runtime.device import set_up
from gan_core.training.history import HEALTH_FORMAT
from gan_core.training.snapshots import read_snapshots
from stages import paths


def main(name: str, dataset: str) -> None:
    params = load_params()
    asked, report = params.evaluate, paths.report(name)
    set_up(params.threads)
    data, trained = Prepared(paths.prepared(dataset)), artifact.load_roles(paths.model(name))
    last = artifact.load_roles(paths.last(name)) if paths.last(name).is_dir() else {}
    compared = references(data, artifact.load(paths.extractor(dataset)), asked, paths.FEATURES)
    found = evaluate(trained, last, data, compared, asked)
    write_figures(report / "metrics.json", found.figures)
    events = files.read_json(report / "health.json", HEALTH_FORMAT)["events"]
    files.write_json(report / "headline.json", {name: headline(found.measured, events)})
    files.write(report / "samples.png", gallery.samples(found, data.samples("train")))
    with files.replacing(report / "pictures") as folder:
        for role in (role for role, network in trained.items() if network.config.output_space in compared):
            for what, made in gallery.pictures_of(role, trained, compared, data.spaces, asked.seed):
                files.write(folder / f"{role}-{what}.png", made)
        if events is not None:  # it was trained here
            files.write(folder / "timeline.png", gallery.timeline(read_snapshots(paths.snapshots(name)), data))


if __name__ == "__main__":
    errors.run(main, "run", "dataset")
