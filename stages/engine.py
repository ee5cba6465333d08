"""engine: the graphs of exported/<run> -> TensorRT engines for the GPU of this machine, in engines/<run>."""

from gan_core import config, errors, files
from gan_core.errors import EnvironmentFailure
from gan_core.export import engine, hardware
from stages import paths


def main(run: str) -> None:
    wanted = config.load().export.engines.precisions
    machine = files.read_json(paths.hardware(run))
    if machine["name"] is None:
        raise EnvironmentFailure(
            f"export.engines.here names '{run}', but nvidia-smi shows no GPU on this machine; take it out there"
        )
    name = hardware.slug(machine)
    with files.replacing(paths.engines(run)) as new:
        built = engine.build_here(paths.exported(run), new, wanted, name, paths.STATE / "timings" / f"{name}.cache")
        files.write_json(new / "manifest.json", {"format": 1, "run": run, "machine": machine, "engines": built})


if __name__ == "__main__":
    errors.run(main, "run")
