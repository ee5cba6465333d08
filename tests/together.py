"""Plays games in as many processes as torchrun starts, or alone: ``python -m tests.together FOLDER DIES_AT_STEP``."""

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from gan_core.core.build_game import build_game
from gan_core.core.game import modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Adaptive
from gan_core.data.batches import Batches
from gan_core.networks.layers.augmented import Augmented
from gan_core.runtime import distributed
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import EnvironmentFailure
from gan_core.training.checkpoint import State
from gan_core.training.loop import start, train
from gan_core.training.run import ExecutionConfig, Plan

SHARDS = 2
GAMES = {
    "wgan_gp": (NetworkSpec("mlp", 16, 4, (1, 8, 8)), {}),
    "gan": (NetworkSpec("dcgan", 4, 4, (1, 8, 8)), {"spectral_norm": True}),
    "r3gan": (NetworkSpec("r3gan", 4, 4, (1, 8, 8)), {"penalty_every": 2}),
    "projected_gan": (NetworkSpec("fastgan", 4, 4, (1, 8, 8)), {"side": 32, "pixels": 4}),
    "f_gan": (NetworkSpec("mlp", 16, 4, (1, 8, 8)), {"learning_rate": 0.01}),
}
ADAPTIVE = "f_gan"
"""Its discriminator is shown augmented samples, of a p that adapts."""


class Noise:
    """A data set of random images."""

    is_image, aligned, other, flip, packed, folder = True, False, None, False, None, Path("noise")

    def raw(self, _part: str, whole: bool = False) -> torch.Tensor:
        return torch.randint(256, (100, 8, 8, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def labels(self, _part: str) -> None:
        return None


def main(folder: Path, dies: int) -> None:
    set_up(1)
    if "RANK" in os.environ:
        distributed.init_distributed(SHARDS, "cpu", "tests.together")
    for variant, (body, settings) in GAMES.items():
        torch.manual_seed(0)
        adapts = variant == ADAPTIVE
        wrap = partial(Augmented, policy=["rotation", "contrast"], channels=1, p=0.6) if adapts else None
        game = build_game(variant, body, settings, wrap)
        batches = Batches(Noise(), 16, 0, 0.05)
        state = State(folder / variant, "f")
        asked = itertools.count(1)

        def stop(asked: Iterator[int] = asked) -> bool:
            if next(asked) == dies and distributed.rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        plan = Plan(variant, 8, 16, 0, 4, 3, 100.0, Adaptive(0.3, 256) if adapts else None)
        begun = start(game, plan, execution=ExecutionConfig(shards=SHARDS))
        run = train(begun, batches.at, state, stop)
        if distributed.rank() == 0:
            weights = {f"{n}.{k}": v for n, p in modules(run.game).saved.items() for k, v in p.named_parameters()}
            torch.save({"weights": weights, "history": run.history}, folder / f"{variant}.end")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except EnvironmentFailure as error:
        print(error, file=sys.stderr)
        os._exit(error.exit_code)
