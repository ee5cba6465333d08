"""engine: the graphs of exported/<run> -> TensorRT engines for the GPU of this machine, in engines/<run>."""

from gan_core.config.load import load_params
from gan_core.export import engine, hardware
from gan_core.runtime import errors, files
from gan_core.runtime.errors import EnvironmentFailure
from gan_core.serving.backends.triton import repository
from stages import paths

FORMAT = 2
"""Of the manifests of engines."""


def main(run: str) -> None:
    wanted = load_params().export.engines.precisions
    machine = files.read_json(paths.hardware(run), hardware.FORMAT)
    if machine["name"] is None:
        raise EnvironmentFailure(
            f"export.engines.here names '{run}', but nvidia-smi shows no GPU on this machine; take it out there"
        )
    timings = paths.STATE / "timings" / f"{hardware.gpu_slug(machine)}-tensorrt_{machine['tensorrt']}.cache"
    with files.replacing(paths.engines(run)) as new:
        built = engine.build_here(paths.exported(run), new, wanted, machine, timings, repository.write_engines)
        files.write_json(new / "manifest.json", {"format": FORMAT, "run": run, "machine": machine, "engines": built})


if __name__ == "__main__":
    errors.run(main, "run")
