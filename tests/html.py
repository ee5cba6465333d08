"""A page as a browser and a reader with closed eyes get it: what it loads, what it says, and what is wrong with it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from PIL import Image

VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Page(HTMLParser):
    """Everything that was seen while reading; ``wrong`` holds what is not well-formed."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    pictures: list[Image.Image] = field(default_factory=list)
    text: str = ""
    wrong: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @staticmethod
    def read(source: str) -> Page:
        page = Page()
        page.feed(source)
        page.close()
        page.wrong += [f"<{tag}> is never closed" for tag in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        if len(given) < len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if name := given.get("id"):
            if name in self.ids:
                self.wrong.append(f"id {name} twice")
            self.ids.add(name)
        if tag == "img":
            self.pictures.append(self._decoded(given.get("src") or ""))
            if not given.get("alt"):
                self.wrong.append("a picture without words")
        if tag == "svg" and not (given.get("aria-label") or given.get("aria-hidden")):
            self.wrong.append("a chart without words")
        if "href" in given:
            self.links.append(given["href"] or "")
        self.wrong += [
            f"<{tag}> loads {v}" for k, v in attrs if k in ("src", "srcset", "poster", "data") and not inside(v)
        ]
        self.wrong += [f"<{tag}> has {k}" for k in given if k.startswith("on")]
        numbers = " ".join(v or "" for k, v in attrs if k in ("d", "points", "x", "y", "cx", "cy", "width", "x1", "y1"))
        if re.search("nan|inf", numbers):
            self.wrong.append(f"<{tag}> is drawn at {numbers}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.wrong += [f"the style loads {found}" for found in re.findall(r"url\([^)]*\)|@import[^;]*", data)]
        else:
            self.text += data

    def _decoded(self, source: str) -> Image.Image:
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2], validate=True)))
        picture.load()
        return picture

    def faults(self) -> list[str]:
        """Everything that is wrong."""
        lost = [f"{link} leads nowhere" for link in self.links if not link.startswith("#") or link[1:] not in self.ids]
        said = [f"it says {word}" for word in re.findall(r"\b(?:nan|NaN|inf|None|undefined)\b", self.text)]
        heads = [] if self.tags.count("h1") == 1 else [f"{self.tags.count('h1')} first headings"]
        scripts = ["a script"] * self.tags.count("script")
        return [*self.wrong, *lost, *said, *heads, *scripts]


def inside(source: str | None) -> bool:
    """Whether a picture is in the page itself."""
    return (source or "").startswith("data:image/")
