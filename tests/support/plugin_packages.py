"""Packages of somebody else's: taken out of a guide's page, made a wheel, installed into a folder of the test's own."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT

_FILE = re.compile(r"^`(?P<name>[\w./-]+)`[^\n]*:\n\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of_page(page: str) -> dict[str, str]:
    """The files that a guide shows: a line with the name in backquotes that ends in a colon, then a fenced block."""
    text = ROOT.joinpath("docs", "guides", page).read_text()
    return {found["name"]: found["text"] for found in _FILE.finditer(text)}


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of single modules.

    Attributes:
        name, version: of the distribution.
        modules: file name -> source.
        entry_points: group -> name -> `module:object`.
    """

    name: str
    version: str
    modules: Mapping[str, str]
    entry_points: Mapping[str, Mapping[str, str]]

    @staticmethod
    def of_page(page: str) -> Package:
        """The package that a guide shows, by its pyproject.toml."""
        files = files_of_page(page)
        project = tomllib.loads(files["pyproject.toml"])
        return Package(
            name=project["project"]["name"],
            version=project["project"]["version"],
            modules={f"{name}.py": files[f"{name}.py"] for name in project["tool"]["setuptools"]["py-modules"]},
            entry_points=project["project"]["entry-points"],
        )


def install(package: Package, target: Path, work: Path) -> None:
    """Makes a wheel of the package and lets pip install it into a folder, without network."""
    wheel = _wheel(package, work)
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--target")
    command = [sys.executable, "-m", "pip", "install", *options, target, wheel]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def unpack(package: Package, target: Path, work: Path) -> None:
    """The same without pip, for packages that nothing but their metadata matters of."""
    with zipfile.ZipFile(_wheel(package, work)) as wheel:
        wheel.extractall(target)


def _wheel(package: Package, folder: Path) -> Path:
    stem = f"{package.name.replace('-', '_')}-{package.version}"
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in package.entry_points.items()
    )
    info = f"{stem}.dist-info"
    files = {
        **package.modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = "".join(f"{name},{_digest(text)},{len(text.encode())}\n" for name, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
