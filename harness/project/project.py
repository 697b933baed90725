"""Finds and reads `harness.toml`: upward from the working folder, as git finds its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError

if TYPE_CHECKING:
    from harness.project.settings import Settings

FILE_NAME = "harness.toml"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project file that was read.

    Attributes:
        path: of the file, absolute.
        settings: what stands in it; paths as they were written.
    """

    path: Path
    settings: Settings

    @property
    def folder(self) -> Path:
        """What relative paths of the file start from."""
        return self.path.parent

    @property
    def model(self) -> Path:
        """The model's path, absolute."""
        return self.absolute(self.settings.model.path)

    @property
    def named_model(self) -> Path:
        """The same with the signature behind it, where the file names one: `FILE#SIGNATURE`."""
        signature = self.settings.model.signature
        return self.model if signature is None else self.model.with_name(f"{self.model.name}#{signature}")

    @property
    def data(self) -> Path | None:
        """The data's path, absolute; of `module:function` the same with the folder in front; None without data."""
        return self.absolute(self.settings.data.path) if self.settings.data is not None else None

    def where(self, *key: str) -> str:
        """Where a key of the file stands, as `FILE:LINE:COLUMN`; the file, where it does not have the key (any more)."""
        from harness.project.located_toml import locate_toml, parse_toml, read_toml

        try:
            text = read_toml(self.path)
            parse_toml(text, self.path)
            return str(locate_toml(text, self.path).values.get(key) or self.path)
        except UserInputError:
            return str(self.path)

    def refuse_foreign(self) -> None:
        """Refuses to run what the file names where somebody else wrote it: it is found upward, so a stranger's file in a shared
        folder must not choose code for everybody who works below.

        Raises:
            UserInputError: the file belongs to neither this user nor root.
        """
        if not self.path.exists():
            # It is about to be written, by this user.
            return
        owner = self.path.stat().st_uid
        if owner not in (os.getuid(), 0):
            raise UserInputError(
                f"belongs to another user (number {owner}), and names a function to be run",
                where=str(self.path),
                hint="copy the project into a folder of your own, or leave it aside by --no-project",
            )

    def absolute(self, text: str) -> Path:
        """A path of the file, from any working folder."""
        return Path(os.path.normpath(self.folder / Path(text).expanduser()))


def project_path(start: Path | None = None) -> Path | None:
    """The nearest `harness.toml` in `start` (default: the working folder) or above it; None where there is none.

    Nothing is read, so that it costs every command next to nothing; what has the name need not be a file.
    """
    try:
        folder = (start or Path.cwd()).absolute()
    except FileNotFoundError:  # the working folder was removed
        return None
    for place in (folder, *folder.parents):
        path = place / FILE_NAME
        # One that cannot be read (a link to nothing, a pipe) is told, or another model would be run. A folder is another thing.
        if os.path.lexists(path) and not os.path.isdir(path):
            return path
    return None


def find_project(start: Path | None = None) -> Project | None:
    """The project that holds in a folder; None where there is none.

    Raises:
        UserInputError: the nearest file cannot be read or does not say what it should; names file, line and key.
    """
    path = project_path(start)
    return None if path is None else load_project(path)


def load_project(path: Path) -> Project:
    """Reads a project file.

    Raises:
        UserInputError: as `find_project`, or there is no such file.
    """
    from harness.project.located_toml import parse_toml, read_toml
    from harness.project.reading import read_settings

    path = path.expanduser().absolute()
    text = read_toml(path)
    return Project(path=path, settings=read_settings(parse_toml(text, path), text, path))
