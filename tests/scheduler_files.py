"""Writes what ``gan cluster write`` gives of two jobs into a folder, and names the YAML files."""

import sys
from pathlib import Path

from gan_core.cluster import schedulers
from gan_core.cluster.job import Job
from gan_core.cluster.resources import Resources


def main() -> None:
    out = Path(sys.argv[1])
    jobs = [Job(out / "work", "gan", ("train@gan",)), Job(out / "work", "big_gan", ("train_warm@big_gan",))]
    place = schedulers.Place(Path(sys.prefix), "image", "volume")
    for gpus in (0, 1):
        for write in schedulers.KINDS.values():
            written = write(jobs, out / f"gpus-{gpus}", Resources(1, 2, gpus), place)
            print(*(path for path in written if path.suffix == ".yaml"))


if __name__ == "__main__":
    main()
