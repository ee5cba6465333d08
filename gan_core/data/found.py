"""What went through while images were prepared, what a person would want to know of it, and what is a mistake."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.config.schema import ImagePairs, Images
from gan_core.data.readers.images import DIGEST, FLAT, Chunk, Ends, Noticed
from gan_core.data.readers.items import Item, Listing, listed
from gan_core.data.split import LEAST_FOR_COVERAGE
from gan_core.runtime.errors import DataError

NAMED = 20
"""Names of skipped images and of copies under two classes in the index; all are counted."""
UNEVEN = 10
"""The largest class has so many times the images of the smallest: uneven."""
DENSE = 2
"""Numbers below so many times the count of classes are kept as they are."""
TENTH = 0.1
"""A set that fills less of what its type holds was meant to be scaled from less."""
MOSTLY = 0.9
"""A share that is nearly all."""


@dataclass
class Found:
    """What went through, in order: a digest, label, part and domain for each packed image, and what was noticed."""

    digests: bytearray = field(default_factory=bytearray)
    deep: bytearray = field(default_factory=bytearray)
    """Whether a packed image has a range: more than 8 bits, or floats."""
    spans: array[float] = field(default_factory=lambda: array("f"))
    """Between the darkest and the lightest number of each."""
    noticed: Noticed = field(default_factory=Noticed)
    labels: list[str] = field(default_factory=list)
    heldout: bytearray = field(default_factory=bytearray)
    domains: bytearray = field(default_factory=bytearray)
    images: int = 0
    skipped: list[int] = field(default_factory=list)
    """Which of the images, in order."""
    skipped_names: list[str] = field(default_factory=list)
    skipped_labels: set[str | None] = field(default_factory=set)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)


def count_of(spec: Images) -> int:
    """How many domains are declared."""
    return len(spec.domain_names) or 1


def in_domain(spec: Images, domain: int) -> str:
    """Which domain, where there are two."""
    return f" in domain '{spec.domain_names[domain]}'" if spec.domain_names else ""


def note(found: Found, items: list[Item], made: Chunk, spec: Images) -> None:
    """Remember a chunk.

    Raises:
        DataError: an image is bad and none is to be skipped.
    """
    for k, fault in made.bad.items():
        fault = items[k].fault or fault
        if spec.on_bad_image == "error":
            raise DataError(f"{items[k].name} {fault}; mend or remove it, or declare on_bad_image: skip")
        found.skipped.append(found.images + k)
        found.skipped_labels.add(items[k].label)
        if len(found.skipped_names) < NAMED:
            found.skipped_names.append(f"{items[k].name} {fault}")
    for item in (item for k, item in enumerate(items) if k not in made.bad):
        found.heldout.append(item.part == "heldout")
        found.domains.append(item.domain)
        if item.label is not None:
            found.labels.append(item.label)
    found.digests += made.digests.tobytes()
    found.images += len(items)
    found.deep += bytes(made.deep)
    found.spans.extend(made.spans)
    found.noticed.add(made.noticed)
    found.sizes += made.sizes
    found.modes += made.modes


def range_of(found: Found, spec: Images) -> Ends | None:
    """What becomes black and what white of the images that have a range; None, if there are none, or by their types.

    Raises:
        DataError: no range is declared, and they fill less than a tenth of what their type holds; or they are all one.
    """
    if not found.noticed.ends or isinstance(spec.range, list):
        return None if not found.noticed.ends else (float(spec.range[0]), float(spec.range[1]))  # type: ignore[index]
    low, high = (
        min(ends[0] for ends in found.noticed.ends.values()),
        max(ends[1] for ends in found.noticed.ends.values()),
    )
    if spec.range == "measured":
        if low == high:
            raise DataError(f"{spec.path} holds images of one number, {low:g}, alone; there is nothing to measure")
        return low, high
    for holds, (low, high) in found.noticed.ends.items() if spec.range is None else ():
        if high - low < TENTH * (holds[1] - holds[0]):
            raise DataError(
                f"{spec.path} holds numbers of {low:g} to {high:g}, less than a tenth of the {holds[0]:g} to "
                f"{holds[1]:g} of their type, so all would look alike; declare range: [{low:g}, {high:g}] (or the ends "
                "that you know), or range: measured, or, if it is as it should be, range: full"
            )
    return next(iter(found.noticed.ends)) if len(found.noticed.ends) == 1 else None


def near_blank(found: Found, spec: Images, ends: Ends | None) -> int:
    """How many images have hardly any difference in them."""
    most = np.full(len(found.spans), float(spec.most))
    if spec.range == "measured":
        deep = np.frombuffer(found.deep, np.bool_)
        most = np.where(deep, ends[1] - ends[0] if ends else 0.0, 255.0)
    return int((np.frombuffer(found.spans, np.float32) <= FLAT * most + 1e-6 * most).sum())


def usable(found: Found, spec: Images) -> None:
    """Refuse a set that cannot be what was meant: most images are bad, or all the same, or blank.

    Raises:
        DataError: with what is wrong.
    """
    good = found.images - len(found.skipped)
    if 2 * len(found.skipped) > found.images:
        raise DataError(
            f"{len(found.skipped)} of {found.images} images in {spec.path} cannot be used, the first is "
            f"{found.skipped_names[0]}; more than half is no accident, so look at what `path` holds"
        )
    if good > 1 and found.digests[:DIGEST] * good == found.digests:
        raise DataError(f"all {good:,} images in {spec.path} are copies of one; look at what `path` holds")


def folded(name: str) -> str:
    """A class's name without what only its spelling has: case, Unicode form, blanks around it and repeated."""
    plain = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    return str(int(plain)) if plain.isdecimal() else plain


def numbered(labels: list[str], source: Listing, spec: Images) -> tuple[NDArray[np.int64], list[str]]:
    """Labels as numbers, and the name of each class: whole numbers in their order, words in theirs.

    Numbers of an array or a column stay what they are, unless most of those up to the largest are missing.

    Raises:
        DataError: classes differ in their spelling alone, and no rule is declared.
    """
    if spec.spelling == "folded":
        labels = [folded(label) for label in labels]
    there = set(labels)
    if source.class_names and spec.spelling != "folded":
        names = list(source.class_names)
    elif source.numbers and max(map(int, there)) < DENSE * len(there):
        names = [str(k) for k in range(max(map(int, there)) + 1)]
    elif all(name.removeprefix("-").isdecimal() for name in there):
        names = sorted(there, key=lambda name: (int(name), name))
    else:
        names = sorted(there)
    twins = twins_of(there)
    if twins and spec.spelling is None:
        raise DataError(
            f"the classes {listed(twins[0])} in {spec.path} differ in their spelling alone (case, blanks or Unicode "
            f"form){f', and so do {len(twins) - 1} more' if twins[1:] else ''}; declare spelling: folded to join them, "
            "or as_is to keep them apart"
        )
    number = {name: k for k, name in enumerate(names)}
    return np.array([number[label] for label in labels], np.int64), names


def twins_of(names: set[str]) -> list[list[str]]:
    """Names that are the same but for their spelling, each such group together."""
    alike = defaultdict(list)
    for name in sorted(names):
        alike[folded(name)].append(name)
    return [names for names in alike.values() if len(names) > 1]


def enough_of_each(found: Found, labels: NDArray[np.int64], names: list[str], spec: Images, least: int) -> None:
    """Refuse a class with fewer images than are declared to be needed, in any domain.

    Raises:
        DataError: with the name of the smallest and its number.
    """
    for name in sorted(found.skipped_labels - {None, *found.labels}, key=str):
        raise DataError(f"no image of class '{name}' can be read, and min_per_class is {least}; mend them, or lower it")
    domains = np.frombuffer(found.domains, np.uint8)
    for domain in range(count_of(spec)):
        counts = np.bincount(labels[domains == domain], minlength=len(names))
        if (fewest := int(counts.min())) < least:
            name = f"'{names[int(counts.argmin())]}'{in_domain(spec, domain)}"
            raise DataError(
                f"class {name} has {fewest} images, and min_per_class is {least}; bring more of it, take the class "
                "out, or lower it"
            )


def look(
    found: Found,
    source: Listing,
    labels: NDArray[np.int64] | None,
    names: list[str],
    counts: dict[str, list[int]],
    heldout: NDArray[np.bool_],
    spec: Images,
    ends: Ends | None,
) -> dict[str, Any]:
    """What a look at all images found; ``counts``: of every class in each part; ``ends``: their range.

    Raises:
        DataError: all are of one shade; or a class is held out of which none is trained on.
    """
    if (blank := near_blank(found, spec, ends)) == found.images - len(found.skipped):
        raise DataError(
            f"all {blank:,} images in {spec.path} are of one shade; if their values fill a small part of their type, "
            "or all is transparent, save them as they are to be seen"
        )
    digests = np.frombuffer(found.digests, f"V{DIGEST}")
    contents, first, which = np.unique(digests, return_index=True, return_inverse=True)
    disagree = [] if labels is None else np.flatnonzero(labels != labels[first][which]).tolist()
    (widths, heights) = (sorted(x) for x in zip(*found.sizes, strict=True))
    rows = np.delete(np.arange(found.images), found.skipped)
    pairs = [[called(source, spec, int(rows[k])) for k in (first[which[row]], row)] for row in disagree[:NAMED]]
    looked: dict[str, Any] = {
        "images": found.images,
        "packed": len(digests),
        "skipped": len(found.skipped),
        "skipped_first": found.skipped_names,
        "sizes": {"narrowest": widths[0], "widest": widths[-1], "lowest": heights[0], "highest": heights[-1]},
        "modes": dict(sorted(found.modes.items())),
        "near_blank": blank,
        "duplicates": len(digests) - len(contents),
        "duplicates_of_another_class": len(disagree),
        "duplicates_of_another_class_first": pairs,
        "on_both_sides": len(np.intersect1d(digests[heldout], digests[~heldout])),
        "classes_without_images": [n for n, *of in zip(names, *counts.values(), strict=True) if not sum(of)],
        "other_files": dict(sorted(source.others.items())),
        "labels_from": source.labels_from,
        **found.noticed.notes,
    }
    odd = [*source.odd, *odd_classes(names, counts, spec), *odd_pictures(found, spec), *odd_parts(found, heldout, spec)]
    odd += [f"{one} and {other} are copies under two classes" for one, other in pairs]
    odd += odd_pairs(found, spec)
    return looked | {"odd": odd, "says": in_words(looked), "says_classes": classes_in_words(names, counts)}


def called(source: Listing, spec: Images, k: int) -> str:
    """The name of the k-th image."""
    return source.called(k) if source.called else f"{spec.path}[{k}]"


def odd_classes(names: list[str], counts: dict[str, list[int]], spec: Images) -> Iterator[str]:
    """What a person would want to know of the classes.

    Raises:
        DataError: one is officially held out of which none is trained on.
    """
    if not counts:
        return
    only = [n for n, train, heldout in zip(names, *counts.values(), strict=True) if heldout and not train]
    if only and spec.heldout != "official":
        yield f"of {len(only)} classes all are held out, as they have few images: {listed(only)}"
    elif only:
        raise DataError(
            f"held out are images of {listed(only)}, of which none is trained on: in {spec.path} folders of test are "
            "called otherwise than those of train; declare a share of the training images alone, or a table of labels"
        )
    total = {name: sum(of) for name, *of in zip(names, *counts.values(), strict=True)}
    for alike in twins_of(set(names)):
        yield f"the classes {listed(alike)} differ in their spelling alone"
    if unseen := [n for n, heldout in zip(names, counts["heldout"], strict=True) if total[n] and not heldout]:
        yield f"of {len(unseen)} classes none is held out, as they have few images: {listed(unseen)}"
    if empty := [name for name, count in total.items() if not count]:
        yield f"no image has the class {listed(empty)}"
    least, most = min(total, key=lambda n: total[n] or 1 << 62), max(total, key=lambda n: total[n])
    if total[most] > UNEVEN * max(total[least], 1):
        yield (
            f"classes are uneven: '{most}' has {total[most]:,} images, '{least}' {total[least]:,}; train.balanced "
            "draws each as often"
        )
    if len(names) == 1:
        yield f"there is one class, '{names[0]}': labels say nothing"


def odd_pictures(found: Found, spec: Images) -> Iterator[str]:
    """What a person would want to know of the pictures."""
    good = found.images - len(found.skipped)
    grey = sum(count for mode, count in found.modes.items() if mode in ("L", "1", "LA"))
    if spec.channels == 3 and grey > MOSTLY * good:
        yield f"{grey:,} of {good:,} images are grey and become three equal channels; channels: 1 would do"
    height, width = spec.of_sources.packed_sides
    if small := {size: n for size, n in found.sizes.items() if size[0] < width or size[1] < height}:
        wide, high = min(small, key=min)
        many = sum(small.values())
        yield f"{many:,} images are smaller than {width}x{height} and are enlarged, the smallest of {wide}x{high}"


def odd_parts(found: Found, heldout: NDArray[np.bool_], spec: Images) -> Iterator[str]:
    """What a person would want to know of the parts."""
    domains = np.frombuffer(found.domains, np.uint8)
    for domain in range(count_of(spec)):
        if (held := int(heldout[domains == domain].sum())) < LEAST_FOR_COVERAGE:
            yield (
                f"{held} images{in_domain(spec, domain)} are held out: of fewer than {LEAST_FOR_COVERAGE}, figures "
                "cannot show whether samples cover the data"
            )


def odd_pairs(found: Found, spec: Images) -> Iterator[str]:
    """What a person would want to know of pairs.

    Raises:
        DataError: in every one a picture is paired with itself.
    """
    if not isinstance(spec, ImagePairs):
        return
    digests, domains = np.frombuffer(found.digests, f"V{DIGEST}"), np.frombuffer(found.domains, np.uint8)
    same = int((digests[domains == 0] == digests[domains == 1]).sum())
    if 2 * same == len(digests):
        raise DataError(f"in all {same:,} pairs of {spec.path} source and target are the same image; look at `pairs`")
    if same:
        yield f"in {same:,} of {len(digests) // 2:,} pairs source and target are the same image"


def in_words(found: dict[str, Any]) -> str:
    """What was found, as a person says it."""
    s = found["sizes"]
    least, most = f"{s['narrowest']}x{s['lowest']}", f"{s['widest']}x{s['highest']}"
    said = [f"{found['packed']:,} images packed, of {least}{'' if least == most else f' to {most}'} pixels"]
    said.append(", ".join(f"{count:,} {mode}" for mode, count in found["modes"].items()))
    for key, words in (
        ("skipped", "skipped, as they cannot be used"),
        ("duplicates", "are copies of another"),
        ("duplicates_of_another_class", "of them under another class"),
        ("on_both_sides", "are both trained on and held out: figures will flatter"),
        ("near_blank", "are near-blank"),
        ("converted", "were converted to sRGB from the colours of their profile"),
        ("broken_profile", "have a broken colour profile, which is ignored"),
    ):
        if found.get(key):
            said.append(f"{found[key]:,} {words}")
    if found["other_files"]:
        which = ", ".join(f"{count:,} {what}" for what, count in found["other_files"].items())
        said.append(f"{sum(found['other_files'].values()):,} other files were left alone ({which})")
    return "; ".join(said)


def in_lines(found: dict[str, Any]) -> list[str]:
    """All that was found, as a terminal shows it."""
    classes = [f"classes ({found['labels_from']}): {found['says_classes']}"] if found["says_classes"] else []
    return [found["says"], *classes, *(f"note: {odd}" for odd in found["odd"])]


def classes_in_words(names: Sequence[str], counts: dict[str, list[int]]) -> str:
    """The classes with their numbers of images, the largest first, and how many each has."""
    if not counts:
        return ""
    total = sorted(((sum(of), name) for name, *of in zip(names, *counts.values(), strict=True)), reverse=True)
    shown = ", ".join(f"{name} {count:,}" for count, name in total[:NAMED])
    return shown + (f", ... to {total[-1][1]} {total[-1][0]:,}" if len(total) > NAMED else "")
