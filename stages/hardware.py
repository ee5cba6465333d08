"""hardware: this machine's GPU and TensorRT -> a file that the engines built for it depend on. It runs each time."""

from gan_core.export import hardware
from gan_core.runtime import errors, files
from stages import paths


def main(run: str) -> None:
    files.write_json(paths.hardware(run), hardware.probe())


if __name__ == "__main__":
    errors.run(main, "run")
