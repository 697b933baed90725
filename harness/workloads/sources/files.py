"""Folders of files, one folder per class, perhaps below one per part: what the names say, before any file is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.utf8 import require_text_name
from harness.workloads.sources.parts import PART_WORDS, PartName

_MOST_FILES = 1_000_000
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Files of one part, in the order of their names, with the class of each; no classes where files lie in no folders."""

    files: tuple[Path, ...]
    classes: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A folder of samples.

    Attributes:
        parts: by name where there are folders of parts; else `whole`.
        classes: in the order of the labels; empty where there are no folders of classes.
        order: how that order was found, in words.
        ignored: how many files have another ending, and are left alone.
    """

    root: Path
    parts: dict[PartName, Listed]
    whole: Listed | None
    classes: tuple[str, ...]
    order: str
    ignored: int

    def place(self, file: Path) -> str:
        """A file's name for messages: from the folder on."""
        return str(file.relative_to(self.root))


def list_tree(root: Path, suffixes: Sequence[str], wanted: Sequence[str]) -> Tree:
    """Looks at a folder of samples.

    Args:
        suffixes: of the files that are samples, lower case.
        wanted: the classes that the project file names, in its order; empty: as they are found.

    Raises:
        UserInputError: nothing in it, files beside folders of classes, or other classes than those named.
    """
    folders, files, ignored = _inside(root, suffixes)
    named: dict[PartName, Path] = {}
    for folder in folders:
        part = PART_WORDS.get(folder.name.lower())
        if part is not None and part not in named:
            named[part] = folder
    if "test" not in named and "calibration" in named and "train" in named:
        named["test"] = named.pop("calibration")  # `train` and `val` alone: what was held back is what is tested
    if "test" not in named and folders and len(named) == len(folders) and any(_inside(f, suffixes)[0] for f in folders):
        raise UserInputError(
            f"has the part {_names([folder.name for folder in folders])} and no test part",
            where=str(root),
            hint="add FOLDER/test/CLASS/FILE, or give the folder of the classes itself, which is then split",
        )
    if "test" not in named or "train" not in named or len(named) != len(folders):
        listed, classes, more = _listed(root, suffixes)
        found: dict[PartName, Listed] = {}
        whole: Listed | None = listed
    else:
        if files:
            raise _beside(root, files)
        whole, found, classes, more = None, {}, set(), 0
        for part, folder in named.items():
            found[part], inside, skipped = _listed(folder, suffixes)
            classes |= inside
            more += skipped
    order, words = _ordered(classes, wanted, root)
    return Tree(root=root, parts=found, whole=whole, classes=order, order=words, ignored=ignored + more)


def _listed(folder: Path, suffixes: Sequence[str]) -> tuple[Listed, set[str], int]:
    folders, files, ignored = _inside(folder, suffixes)
    if not folders:
        if not files:
            raise UserInputError(
                f"holds no samples: no file that ends in {' or '.join(suffixes)}",
                where=str(folder),
                hint="give a folder with one folder of samples per class",
            )
        return Listed(files=tuple(files), classes=None), set(), ignored
    if files:
        raise _beside(folder, files)
    pairs = []
    for inner in folders:
        deeper, members, skipped = _inside(inner, suffixes)
        ignored += skipped
        if deeper:
            raise UserInputError(
                f"holds folders within the class '{inner.name}', such as {deeper[0].name}",
                where=str(folder),
                hint="keep one level: FOLDER/CLASS/FILE, or FOLDER/train/CLASS/FILE and FOLDER/test/CLASS/FILE",
            )
        if not members:
            raise UserInputError(
                f"the class '{inner.name}' has no file that ends in {' or '.join(suffixes)}",
                where=str(inner),
                hint="remove the folder, or put the samples of the class into it",
            )
        pairs += [(file, inner.name) for file in members]
    if len(pairs) > _MOST_FILES:
        raise UserInputError(f"holds {len(pairs):,} files, more than {_MOST_FILES:,}", where=str(folder))
    return (
        Listed(files=tuple(file for file, _ in pairs), classes=tuple(name for _, name in pairs)),
        {inner.name for inner in folders},
        ignored,
    )


def _inside(folder: Path, suffixes: Sequence[str]) -> tuple[list[Path], list[Path], int]:
    """Folders and sample files of a folder, each sorted by name, and how many other files there are. Hidden ones are none."""
    try:
        entries = sorted((entry for entry in os.scandir(folder)), key=lambda entry: entry.name)
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(folder)) from None
    folders, files, ignored = [], [], 0
    for entry in entries:
        if entry.name.startswith((".", "__")):
            continue
        require_text_name(entry.path)
        if entry.is_dir():
            folders.append(Path(entry.path))
        elif Path(entry.name).suffix.lower() in suffixes and entry.is_file():
            files.append(Path(entry.path))
        else:
            ignored += 1
    return folders, files, ignored


def _beside(folder: Path, files: Sequence[Path]) -> UserInputError:
    return UserInputError(
        f"holds samples beside folders: {files[0].name}{f' and {len(files) - 1} more' if len(files) > 1 else ''}",
        where=str(folder),
        hint="put each sample into the folder of its class",
    )


def _ordered(found: set[str], wanted: Sequence[str], root: Path) -> tuple[tuple[str, ...], str]:
    """The classes in the order of their numbers, and how that is known."""
    if wanted:
        # A class without a folder has its number all the same: a test set need not have samples of each.
        further = sorted(found - set(wanted))
        if further or len(set(wanted)) != len(wanted):
            what = f"data.classes lacks the folder {_names(further)}" if further else "data.classes repeats itself"
            raise UserInputError(what, where=str(root), hint=f"the folders are {_names(sorted(found))}")
        missing = [name for name in wanted if name not in found]
        return tuple(wanted), "as data.classes says" + (f"; no folder is called {_names(missing)}" if missing else "")
    if found and all(name.isascii() and name.isdigit() for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name))), "sorted as numbers"
    return tuple(sorted(found)), "sorted by name"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more
