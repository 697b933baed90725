"""Pages in tests: read as HTML, and opened in a headless browser."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Element:
    """An element: its attributes, the text in it, and the elements it stands in, from the outside."""

    tag: str
    attributes: dict[str, str | None]
    within: tuple[Element, ...] = ()
    text: str = ""

    def __getitem__(self, name: str) -> str:
        return self.attributes[name] or ""

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)


@dataclass
class Page(HTMLParser):
    """A parsed page: its elements in order. Wrong nesting is an error."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        assert not self._open, [e.tag for e in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), tuple(self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1].tag == tag, (tag, [e.tag for e in self._open], self.getpos())
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag with these attributes; `class_` for a class among others."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            e
            for e in self.elements
            if e.tag == tag
            and all(
                value in (e.get(name) or "").split() if name == "class" else e.get(name) == value
                for name, value in wanted.items()
            )
        ]

    def inside(self, tag: str, **attributes: str) -> str:
        """The text of the only such element."""
        (found,) = self.all(tag, **attributes)
        return found.text

    @property
    def data(self) -> dict[str, Any]:
        """What the page's scripts read."""
        return json.loads(self.inside("script", id="data"))


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: its document after the scripts ran, what it logged, and a picture."""

    document: str
    console: list[str]
    picture: bytes


def browser() -> str:
    """A Chromium of this machine. Debian has one that `./bench test` installs, so that it is missing there is a failure."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        said = f"no {' or '.join(_BROWSERS)} on the PATH: install chromium"
        (pytest.fail if _is_debian() else pytest.skip)(said)
    return found


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def open_in_browser(address: str, *, width: int = 1200, height: int = 1000, dark: bool = False) -> Seen:
    """Opens an address and waits until its scripts are at rest; the browser may reach nothing but files."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        common = [
            browser(),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile",
            "--enable-logging=stderr",
            f"--window-size={width},{height}",
            "--virtual-time-budget=6000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        ]
        command = [*common, f"--screenshot={picture}", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, timeout=120)
        console = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        assert picture.is_file(), console
        return Seen(document=done.stdout.decode(), console=console, picture=picture.read_bytes())
