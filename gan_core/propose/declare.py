"""What follows from pictures that were looked at: an entry for ``images`` and one for ``runs``, with reasons."""

from __future__ import annotations

from importlib.util import find_spec
from math import ceil
from pathlib import Path
from statistics import median

from gan_core.config import papers
from gan_core.config.rules import LITE0
from gan_core.core.feature_names import LITE0_FROM
from gan_core.core.sides import fit, nearest
from gan_core.data.split import LEAST_FOR_COVERAGE, LEAST_SAMPLES
from gan_core.propose import presets
from gan_core.propose.entry import Entry, Value
from gan_core.propose.look import Seen
from gan_core.runtime.errors import DataError

SMALL = 16
"""From so many pixels on the smaller side, convolutions; below, fully connected networks."""
MOST_CPU, MOST_GPU = 64, 128
"""Pixels of the smaller side up to which a first run is proposed."""
OBLONG, ALIKE = 1.15, 0.8
"""Pictures this much wider than high, or higher than wide, this share of them, are rectangles."""
MANY = 20_000
"""From so many pictures on, a tenth is enough to measure with."""
AUGMENTED = 5_000
"""With fewer pictures to train on, a discriminator sees them changed: it would soon know them by heart."""
TIMES, TIMES_LITE0, TIMES_PAIRS, LEAST, MOST = 60, 24, 40, 2_000, 20_000
"""How often each picture is seen in a first run, against Lite0, and in pairs; and the steps at least and at most."""


def images(found: Seen, gpu: bool, preset: str | None = None) -> Entry:
    """The entry of the pictures.

    Raises:
        DataError: there are too few to train on and to measure with.
    """
    good = round(found.count * len(found.sizes) / max(found.looked_at, 1))
    if good < LEAST_SAMPLES:
        of = "pairs of " if found.pairs else ""
        raise DataError(
            f"{found.path} holds {good:,} {of}pictures that can be read, and {LEAST_SAMPLES} are the least; bring more"
        )
    entry = {"path": Value(str(found.path))} | ({"pairs": paired(found)} if found.pairs else {})
    entry["labels"] = labels(found)
    if found.twins:
        entry["spelling"] = Value("folded", f"{' and '.join(map(repr, found.twins[0]))} are one class")
    entry |= {"heldout": heldout(found, good), **frame(found, gpu, preset), **colours(found)}
    entry["flip"] = flip(entry["channels"].value)
    if found.bad:
        entry["on_bad_image"] = Value(
            "skip", f"{len(found.bad):,} of {found.looked_at:,} cannot be used: {found.bad[0]}"
        )
    else:
        entry["on_bad_image"] = Value("error", f"all {found.looked_at:,} that were looked at can be read")
    return entry


def paired(found: Seen) -> Value:
    """Which pictures belong together."""
    how = "files of one name" if isinstance(found.pairs, dict) else "halves"
    return Value(
        found.pairs,
        f"{how}: in {found.agreement:.0%} of comparisons a source is more like its own target than like another; for "
        "the other direction, exchange the two",
    )


def labels(found: Seen) -> Value:
    """What names the classes."""
    if found.pairs:
        return Value(False, "pairs have no classes")
    if not found.labels:
        return Value(False, found.why_not or "no folders, table or column name classes")
    least, most = min(found.folded.values()), max(found.folded.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    source = found.labels_from or "what holds them"
    why = f"{len(found.folded):,} classes, named by {source}, of {each} of the {found.looked_at:,} looked at"
    return Value(found.labels, "; ".join([why, *(odd.partition(":")[0] for odd in found.odd)]))


def heldout(found: Seen, good: int) -> Value:
    """What is kept from training."""
    if found.official:
        return Value("official", "the source says itself what is to train on and what to measure with")
    if good >= MANY:
        return Value(0.1, f"of {good:,} pictures, {good // 10:,} are enough to measure with")
    if good * 0.2 >= 1.2 * LEAST_FOR_COVERAGE:
        return Value(0.2, f"of {good:,} pictures: {round(good * 0.2):,} to measure with")
    if good < 2 * LEAST_FOR_COVERAGE:
        return Value(
            0.25, f"of {good:,} pictures: {round(good / 4)} to measure with, which cannot show all; most train"
        )
    share = min(0.5, ceil(120 * LEAST_FOR_COVERAGE / good) / 100)
    return Value(share, f"of {good:,} pictures: {LEAST_FOR_COVERAGE} to measure with show how the data are covered")


def frame(found: Seen, gpu: bool, preset: str | None) -> Entry:
    """Size and how pictures are brought to it."""
    high, wide, most = found.height, found.width, MOST_GPU if gpu else MOST_CPU
    rule = papers.sides("unet" if found.pairs else "r3gan" if preset else family(min(high, wide)))
    median_is = f"all pictures are {wide}x{high}" if found.alike else f"the median picture is {wide}x{high}"
    if found.alike and min(high, wide) <= most and fit(rule, (high, wide)):
        return {"size": size_of(high, wide, median_is), "fit": Value("exact", "as they are")}
    ratio = median(w / h for w, h in found.sizes)
    alike = sum(ratio / OBLONG < w / h < ratio * OBLONG for w, h in found.sizes) >= ALIKE * len(found.sizes)
    shrink = min(1.0, most / min(high, wide))
    oblong = alike and not 1 / OBLONG < ratio < OBLONG
    sides = (high, wide) if oblong else (min(high, wide),) * 2
    target = tuple(max(4, round(side * shrink)) for side in sides)
    near_high, near_wide = nearest(rule, target)
    why = median_is + (
        f"; {most} is enough for a first run {'' if gpu else 'without a GPU'}".rstrip() if shrink < 1 else ""
    )
    if (near_high, near_wide) != target:
        why += "; a size near it that the network can draw"
    if found.alpha:
        how = Value("pad", "nothing of a picture with transparency is cut off")
    elif alike:
        how = Value("crop", "pictures are of about one shape, so that little is cut off")
    else:
        how = Value("crop", "the middle of pictures of several shapes; pad keeps all of them, with margins")
    return {"size": size_of(near_high, near_wide, why), "fit": how}


def size_of(high: int, wide: int, why: str) -> Value:
    """A square by its side."""
    return Value(high if high == wide else [high, wide], why)


def colours(found: Seen) -> Entry:
    """Channels, bits and background."""
    n, deep, alpha = found.looked_at, found.deep, found.alpha
    entry: Entry = {}
    if alpha > n / 20:
        entry["channels"] = Value(4, f"{alpha:,} of {n:,} have transparent pixels")
    elif found.colour > n / 100:
        entry["channels"] = Value(3, f"{found.colour:,} of {n:,} are in colour")
    else:
        entry["channels"] = Value(1, f"{n - found.colour:,} of {n:,} are grey")
    if deep > n / 2:
        between = f"{deep:,} of {n:,} have more than 8 bits, of {found.lowest:g} to {found.highest:g}"
        entry |= {"bits": Value(16, between), "range": Value("measured", "the lowest and the highest of the whole set")}
    if entry["channels"].value == 4:
        entry["background"] = Value(0, "not used: alpha is kept")
    elif alpha:
        entry["background"] = Value(255, f"white, under the transparent pixels of {alpha:,} pictures")
    else:
        entry["background"] = Value(0, "black around what is padded; nothing is transparent")
    return entry


def flip(channels: int) -> Value:
    """Whether a picture in a mirror is one more of its kind."""
    if channels == 3:
        return Value(True, "as of photographs: mirrored ones are as likely; false where there is something to read")
    kind = "grey pictures are often digits or letters" if channels == 1 else "logos often have letters"
    return Value(False, f"{kind}; true where mirrored ones are as likely")


def family(side: int) -> str:
    """The network family for pictures of so many pixels on the smaller side."""
    return "dcgan" if side >= SMALL else "mlp"


def run(found: Seen, entry: Entry, name: str, gpu: bool, preset: str | None = None) -> Entry:
    """The entry of a first run on these pictures.

    ``preset``: of R3GAN. Without, what learns most in an hour or so; with a GPU and many pictures, the preset for it.

    Raises:
        InputError: there is no such preset.
    """
    size, share = entry["size"].value, entry["heldout"].value
    side = min(size) if isinstance(size, list) else size
    good = found.count * len(found.sizes) / max(found.looked_at, 1)
    train = round(good * (1 - (found.heldout / found.looked_at if found.official else share)))
    if found.looked_at < found.total:
        train = round(train, 1 - len(str(train)) + 1)  # an estimate
    classes = f"{len(found.folded):,} classes: each can be asked for" if entry["labels"].value else ""
    if found.pairs:
        return translation(name, train, side)
    if preset is None and gpu and side >= LITE0_FROM and train >= AUGMENTED:
        preset = "small"
    if preset:
        batch = presets.batch_size(preset, side)
        steps = ceil(presets.preset(preset)["images"] / batch)
        return presets.run(preset, name, side, length(steps, batch, train), classes, gpu or bfloat16())
    projected = side >= LITE0_FROM and find_spec(LITE0) is not None
    batch = next(b for b in (16 if projected else 64, 32, 16, 8) if train >= 10 * b or b == 8)
    steps = min(MOST, max(LEAST, round((TIMES_LITE0 if projected else TIMES) * train / batch / 100) * 100))
    how_long = length(steps, batch, train)
    made = against_lite0(name, how_long, classes) if projected else plain_game(name, side, how_long, classes, gpu)
    if train < AUGMENTED or projected:
        policy = ["translation", "cutout"] if projected else ["color", "translation", "cutout"]
        why = (
            f"{train:,} pictures are few: the discriminator sees them changed"
            if train < AUGMENTED
            else "as its paper has it"
        )
        changes = {"policy": Value(policy, "DiffAugment, Zhao et al. 2020"), "p": Value(1.0, "always")}
        made["augment"] = Value(changes, why)
    return made


def translation(name: str, train: int, side: int) -> Entry:
    """A game that turns sources into their targets."""
    batch = 8 if train >= 80 else 2
    steps = min(MOST, max(LEAST, round(TIMES_PAIRS * train / batch / 100) * 100))
    net = {
        "family": Value(
            "unet", "what is fine goes past what is coarse; resnet changes style, and takes other sizes too"
        ),
        "width": Value(32, "channels at half the size; twice as many draw finer and take longer"),
        "latent": Value(0, "nothing is drawn at random"),
    }
    how = length(steps, batch, train) | {
        "instance_noise": Value(0.0, "a translation would lack it"),
        "ema_half_life": Value(2_000, "images"),
        **({"precision": Value("bfloat16", "this processor multiplies it, twice as fast")} if bfloat16() else {}),
    }
    settings = {"learning_rate": Value(5e-4, "the paper's is 2e-4: few steps")}
    if side >= LITE0_FROM and find_spec(LITE0) is not None:
        settings |= {
            "perceptual": Value(10.0, "distance from the target in EfficientNet-Lite0's maps: clearer shapes"),
            "l1": Value(10.0, "beside it less than the paper's 100"),
        }
    return {
        "variant": Value("pix2pix", "pairs, Isola et al. 2017; settings {adversarial: 0.0}: no game, the best PSNR"),
        "dataset": Value(name),
        "network": Value(net),
        "train": Value(how),
        "settings": Value(settings),
    }


def length(steps: int, batch: int, train: int) -> Entry:
    """How long a run of ``train`` pictures is."""
    seen = f"each of {train:,} pictures {round(steps * batch / train):,} times; `gan forecast` says how long that takes"
    return {
        "steps": Value(steps, seen),
        "batch_size": Value(batch, f"for {train:,} pictures to train on"),
        "evaluate_every": Value(steps // 10, "ten evaluations; the weights of the best one ship"),
    }


def against_lite0(name: str, length: Entry, classes: str) -> Entry:
    """A game whose discriminator stands on a network that knows photographs: good pictures in the fewest steps."""
    net = {
        "family": Value("fastgan", "trains in few steps, Liu et al. 2021"),
        "width": Value(32, "channels at full size; twice as many draw finer and take longer"),
        "latent": Value(64),
    }
    train = length | {
        "instance_noise": Value(0.0, "augmentation does what noise would"),
        "ema_half_life": Value(10_000, "images"),
        **({"precision": Value("bfloat16", "this processor multiplies it, twice as fast")} if bfloat16() else {}),
    }
    settings = {
        "pixels": Value(32, "channels of a discriminator of the pixels beside it: hues, alpha"),
        "learning_rate": Value(4e-4, "the paper's twice: few steps"),
        "discriminator_learning_rate": Value(4e-4),
    }
    if classes:
        settings |= {"conditional": Value(True, classes)}
    return {
        "variant": Value("projected_gan", "a discriminator on EfficientNet-Lite0, Sauer et al. 2021"),
        "dataset": Value(name),
        "network": Value(net),
        "train": Value(train),
        "settings": Value(settings),
    }


def plain_game(name: str, side: int, length: Entry, classes: str, gpu: bool) -> Entry:
    """A game for small pictures."""
    net = {
        "family": Value(
            family(side), f"for sides {f'of {SMALL} pixels and more' if side >= SMALL else f'below {SMALL} pixels'}"
        ),
        "width": Value(*((64, "there is a GPU") if gpu else (32 if side <= 32 else 16, "without a GPU"))),
        "latent": Value(64 if side >= SMALL else 32),
    }
    if net["family"].value == "mlp":
        net["width"] = Value(256, "of its hidden layers")
    made = {
        "variant": Value("cgan" if classes else "gan", classes or "without classes"),
        "dataset": Value(name),
        "network": Value(net),
        "train": Value(length),
    }
    if classes:
        made["settings"] = Value({"conditioning": Value("projection", "labels are projected, Miyato & Koyama 2018")})
    return made


def bfloat16() -> bool:
    """Whether the processor multiplies bfloat16."""
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and any(flag in cpu.read_text() for flag in ("amx_bf16", "avx512_bf16"))
