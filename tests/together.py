"""Plays games in as many processes as torchrun starts, or alone: ``python -m tests.together FOLDER DIES_AT_STEP``."""

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches
from gan_core.errors import EnvironmentFailure
from gan_core.game import players
from gan_core.signature import Body
from gan_core.training import processes
from gan_core.training.checkpoint import State
from gan_core.training.loop import Means, Plan, play, start
from gan_core.training.setup import set_up

SHARDS = 2
GAMES = {
    "wgan_gp": (Body("mlp", 16, 4, (1, 8, 8)), {}),
    "gan": (Body("dcgan", 4, 4, (1, 8, 8)), {"spectral_norm": True}),
}


class Noise:
    """A data set of random images."""

    is_image, other, folder = True, None, Path("noise")

    def raw(self, _part: str) -> torch.Tensor:
        return torch.randint(256, (100, 8, 8, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def labels(self, _part: str) -> None:
        return None


def main(folder: Path, dies: int) -> None:
    set_up(1)
    if "RANK" in os.environ:
        processes.meet(SHARDS, "cpu", "tests.together")
    for variant, (body, settings) in GAMES.items():
        torch.manual_seed(0)
        game = assemble(variant, body, settings)
        batches = Batches(Noise(), 16, 0, 0.05)
        state = State(folder / variant, "f")
        asked = itertools.count(1)

        def stop(asked: Iterator[int] = asked) -> bool:
            if next(asked) == dies and processes.rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        run = play(start(game, 0.9, means=Means(shards=SHARDS)), batches.at, Plan(variant, 8, 0, 4, 3), state, stop)
        if processes.rank() == 0:
            weights = {f"{n}.{k}": v for n, p in players(run.game).items() for k, v in p.named_parameters()}
            torch.save({"weights": weights, "history": run.history}, folder / f"{variant}.end")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except EnvironmentFailure as error:
        print(error, file=sys.stderr)
        os._exit(error.exit_code)
