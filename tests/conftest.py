"""What several tests need: small real data, trained networks, and copies of the project to run as a user would."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from gan_core.config import papers, rules, schema
from gan_core.core.artifact import Artifact, load, save
from gan_core.core.build_game import build_game
from gan_core.core.game import Game
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import read
from gan_core.metrics.features import of_network
from gan_core.metrics.measure import Reference
from gan_core.networks.layers.augmented import Augmented
from gan_core.objectives.adversarial import OBJECTIVES
from gan_core.objectives.f_divergence import DIVERGENCES
from gan_core.runtime.device import set_up
from gan_core.training.ema import recalibrate
from gan_core.training.loop import advance, start
from gan_core.training.run import ExecutionConfig, Plan, Run
from tests import foreign

ROOT = Path(__file__).parents[1]
DIGITS = schema.Digits("digits", 0.2)
DOMAINS = schema.DigitDomains("digit_domains", "recolour", 0, 0.2)
DECLARED, SMALL_FILE = ROOT / "tests/declaration.yaml", ROOT / "tests/small.yaml"
"""What tests declare, whole and small: params.yaml is the user's, and no test depends on what it holds."""
SMALL: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(SMALL_FILE))  # type: ignore[assignment]


class Flat(torch.nn.Module):
    """Samples are their own features."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


@dataclass(frozen=True)
class Made:
    """A data set made of tensors: samples and maybe labels of each part, and what its index says."""

    train: torch.Tensor
    heldout: torch.Tensor
    y: Mapping[str, torch.Tensor] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        return self.train.dim() == 4

    def samples(self, part: str) -> torch.Tensor:
        return self.train if part == "train" else self.heldout

    def labels(self, part: str) -> torch.Tensor | None:
        return self.y.get(part)


def flat_reference(domain: Any, most: int = 10_000, classifier: torch.nn.Module | None = None) -> Reference:
    """Samples of a domain compared as they are."""
    return Reference.of(of_network("own", Flat()), domain, most, classifier)


@pytest.fixture(autouse=True)
def deterministic() -> None:
    set_up(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("digits")
    prepare(read(DIGITS), DIGITS, folder)
    return Prepared(folder)


@pytest.fixture(scope="session")
def domains(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two unpaired domains of the digits."""
    folder = tmp_path_factory.mktemp("domains")
    prepare(read(DOMAINS), DOMAINS, folder)
    return Prepared(folder)


QUICK: dict[str, dict[str, object]] = {
    "wgan": {"warm_up": 2, "warm_up_critic_steps": 6},
    "autoencoder": {"downsampling": 4, "perceptual": 0.0},
}
"""What a paper's own values become where these are too slow to play in a test, or ask for larger pictures."""

OPTIONS: list[tuple[str, dict[str, object]]] = [
    ("gan", {"r1": 0.1}),
    *(("gan", {"objective": name}) for name in OBJECTIVES),
    ("gan", {"objective": "relativistic", "r1": 0.1, "r2": 0.1}),
    *(("f_gan", {"divergence": name, "objective": "exact"}) for name in DIVERGENCES),
    ("f_gan", {"divergence": "alpha", "alpha": 1.5, "r1": 0.1}),
    ("cgan", {"conditioning": "projection"}),
    ("cgan", {"matching_aware": True}),
    ("gan", {"dragan": 10.0, "spectral_norm": True}),
    ("gan", {"pack": 2, "r1": 0.1, "dragan": 1.0, "augment": get_args(schema.Policy)}),
    *((variant, {"augment": ("rotation", "hue", "cutout")}) for variant in ("vae_gan", "cycle_gan", "wgan_gp")),
    ("vae", {"likelihood": "bernoulli", "beta": 2.0}),
    ("vae_gan", {"margin": 0.35}),
    ("info_gan", {"continuous": 0}),
    ("info_gan", {"categories": 0, "deviation": "learned"}),
    *(("info_gan", {"q_owner": owner}) for owner in ("generator", "joint")),
    ("learned_f", {"form": "mixture", "r1": 0.1}),
    ("cycle_gan", {"identity": 0.0}),
    ("pix2pix", {"objective": "least_squares", "l1": 0.0, "feature_matching": 10.0, "augment": ("translation", "hue")}),
    ("pix2pix", {"adversarial": 0.0}),
    ("r3gan", {"conditional": True, "penalty_every": 2}),
    ("projected_gan", {"conditional": True, "pixels": 4, "side": 32}),
    ("autoencoder", {"downsampling": 4, "perceptual": 0.0, "regularisation": "vq", "adversarial": 0.5}),
    ("autoencoder", {"downsampling": 4, "perceptual": 0.0, "adversarial": 0.5, "augment": ("translation", "hue")}),
]
"""Games whose settings take another path than the paper's values do; ``augment``: a policy, of p 0.9."""


def fitting(variant: str) -> list[str]:
    """The network families that have all a paper asks for."""
    return [f for f in papers.families() if not list(rules.lacking(f, papers.roles(variant)))]


VARIANTS = papers.variants()
THOROUGH = ("info_gan", "cgan", "vae_gan", "cycle_gan")
"""Papers that together ask for everything that a family may offer."""
PLAYED = [(v, QUICK.get(v, {}), f) for v in VARIANTS for f in (fitting(v) if v in THOROUGH else fitting(v)[-1:])]
PLAYED += [(v, s, "mlp" if "mlp" in fitting(v) else fitting(v)[-1]) for v, s in OPTIONS]


def plan(steps: int = 8, every: int = 3, batch_size: int = 16, seed: int = 0, log_every: int = 2) -> Plan:
    return Plan("test", steps, batch_size, seed, log_every, every, 100.0)


def begin(game: Game, plan: Plan = plan(), device: str = "cpu", execution: ExecutionConfig | None = None) -> Run:  # noqa: B008
    """A run at step 0, with an average that moves fast."""
    return start(game, plan, device, execution or ExecutionConfig())


def take_steps(run: Run, batch_at: Callable[[int], Any], count: int) -> Run:
    """So many steps, as the loop takes them."""
    for _ in range(count):
        advance(run, batch_at)
    return run


def fit(variant: str, settings: Mapping[str, Any], family: str, data: Prepared) -> Game:
    """A small game on some data."""
    symbols = dict(settings)
    policy = symbols.pop("augment", None)
    wrap = partial(Augmented, policy=policy, channels=data.shape[0], p=0.9) if policy else None
    return build_game(variant, NetworkSpec(family, 16, 8, data.shape, data.classes), symbols, wrap)


@pytest.fixture(params=PLAYED, ids=lambda p: "-".join([p[0], p[2], *map(str, p[1].values())]))
def play_of(request: pytest.FixtureRequest, digits: Prepared, domains: Prepared) -> tuple[Game, Prepared]:
    """A game and data it can be played on."""
    variant, settings, family = request.param
    data = domains if "x_b" in papers.needs(variant)["batch"] else digits
    return fit(variant, settings, family, data), data


@pytest.fixture
def game(play_of: tuple[Game, Prepared]) -> Game:
    """Any game."""
    return play_of[0]


@pytest.fixture
def data(play_of: tuple[Game, Prepared]) -> Prepared:
    """Data that fits the game."""
    return play_of[1]


@pytest.fixture(scope="session", params=["mlp", "dcgan"])
def trained(request: pytest.FixtureRequest, digits: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A generator after 40 steps, as the pipeline saves it."""
    set_up(1)
    torch.manual_seed(1)
    run = take_steps(begin(fit("gan", {}, request.param, digits), plan(40)), Batches(digits, 64, 0, 0.05).at, 40)
    network = run.averages["generator"].network
    config = run.exports["generator"].config
    recalibrate(network, config.inputs, 0, 64)
    path = tmp_path_factory.mktemp("trained") / "generator.safetensors"
    save(path, network, config, {"data": digits.index["sha256"], "variant": "gan", "steps": 40, "ema": "100.0"})
    return load(path)


Command = Callable[..., "subprocess.CompletedProcess[str]"]
MORE = "larger"
"""A run of the built project beside those of ``SMALL``."""


def enlarging(folder: Path, store: str) -> dict[str, Any]:
    """Pictures in a folder, and the declaration of a run that makes 16 pixels of 8; packed in a store."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(130):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        coarse.resize((16, 16), Image.Resampling.BICUBIC).save(folder / f"{k}.png")
    images = {"path": folder.name, "labels": False, "heldout": 0.5, "size": 16, "channels": 3, "fit": "exact"}
    images |= {"background": 0, "on_bad_image": "error", "pairs": "downscaled", "scale": 2, "store": store}
    run = {
        "variant": "pix2pix",
        "dataset": "coarse",
        "network": {"family": "srresnet", "width": 4, "latent": 0, "blocks": 1},
    }
    train = {"steps": 4, "batch_size": 4, "evaluate_every": 4, "instance_noise": 0.0}
    return {"images.coarse": images, f"runs.{MORE}": run | {"train": train}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need the built project come last, so that of two processes one builds it while the other has work."""
    waiting = {item.path for item in items if "built" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in waiting)


def store_of(folder: Path) -> str:
    """Where a project that has a store has it: beside its folder."""
    return folder.with_name(f"{folder.name}-store").as_uri()


class Workspace:
    """A copy of the project's tracked files in a folder of its own, as a fresh clone would be, with runs of tests.

    ``more``: with networks from elsewhere, too, and a run whose translator enlarges.
    """

    def __init__(self, folder: Path, declared: Path = SMALL_FILE, more: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        shutil.copy2(declared, folder / "params.yaml")
        self.declare({"torch": metadata.version("torch").partition("+")[0]})
        if more:
            pictures = enlarging(folder / "pictures", store_of(folder))
            self.declare({"imports": foreign.write(folder / "theirs")} | pictures)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "start")

    @classmethod
    def at(cls, folder: Path) -> Workspace:
        """The workspace that a folder holds already."""
        made = cls.__new__(cls)
        made.folder = folder
        return made

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True).stdout

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PYTHONPATH": str(self.folder)}

    def declare(self, changes: dict[str, object]) -> None:
        """Set dotted keys of params.yaml."""
        path = self.folder / "params.yaml"
        params = OmegaConf.load(path)
        for key, value in changes.items():
            OmegaConf.update(params, key, value, merge=False)
        OmegaConf.save(params, path)

    def run(self, *command: str, timeout: float = 500) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / ".started.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A small project, nothing built."""
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small project after ``dvc repro``. Of several test processes one builds it, and each has a copy of its own."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, finished = shared / "built", shared / "built.done"
    with (shared / "built.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = Workspace(folder, more=True).run("dvc", "repro", timeout=1_000)
            assert done.returncode == 0, done.stdout + done.stderr
            finished.touch()
    own = tmp_path_factory.mktemp("own") / "built"
    shutil.copytree(folder, own, symlinks=True)
    return Workspace.at(own)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
