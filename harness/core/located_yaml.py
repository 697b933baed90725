"""YAML with positions: plain data plus the file, line and column of every key and value.

Overrides from another file can be laid over it, and each error still points at the line that caused it
(harness.core.located_errors makes the errors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import open_regular

_MAX_FILE_BYTES = 256 << 10
#: deep nesting takes the parser quadratic time, so brackets are counted before it starts
_MAX_BRACKETS = 500
_MAX_VALUES = 10_000
_MAX_DEPTH = 20
_TOO_MUCH = "the file holds more values or levels than a profile can have"

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place in a file; line and column count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(kw_only=True)
class LocatedData:
    """Plain data and the places of its keys (for items of a list: of the item) and of its values."""

    data: dict[str, Any]
    keys: dict[FieldPath, Mark] = field(default_factory=dict)
    values: dict[FieldPath, Mark] = field(default_factory=dict)

    def subtree(self, at: FieldPath) -> LocatedData:
        """The mapping at `at`, with its places."""
        data: Any = self.data
        for key in at:
            data = data[key]
        depth = len(at)
        return LocatedData(
            data=data,
            keys={k[depth:]: v for k, v in self.keys.items() if k[:depth] == at},
            values={k[depth:]: v for k, v in self.values.items() if k[:depth] == at},
        )


def load_yaml(path: Path, *, may_be_empty: bool = False) -> LocatedData:
    """Reads a YAML file whose top level is a mapping; `may_be_empty` takes a file of comments alone for an empty one.

    Raises:
        UserInputError: no such file, a folder, not UTF-8, too large, broken YAML, a duplicate key, or no mapping.
    """
    return parse_yaml(_read_text(path), path, may_be_empty=may_be_empty)


def parse_yaml(text: str, path: Path, *, may_be_empty: bool = False) -> LocatedData:
    """The same for text that is at hand; `path` is what its errors name."""
    node = parse_node(text, path)
    if node is None and may_be_empty:
        node = {}
    if not isinstance(node, Mapping):
        found = "nothing" if node is None else _kind(node)
        raise UserInputError(f"expected a mapping of fields, found {found}", where=f"{path}:1:1")
    located = LocatedData(data={})
    located.values[()] = Mark(path=path, line=1, column=1)
    located.data = _plain(node, (), located, path)
    return located


def load_node(path: Path) -> Any:
    """A YAML file as ruamel gives it, whatever its top level is: mappings and lists know their lines (`lc`).

    Raises:
        UserInputError: as `load_yaml`, but for what the top level is.
    """
    return parse_node(_read_text(path), path)


def parse_node(text: str, path: Path) -> Any:
    """The same for text that is at hand."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise UserInputError(_TOO_MUCH, where=str(path))
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        raise _yaml_error(path, error) from None
    except RecursionError:
        raise UserInputError("this is not readable YAML: it is nested too deeply", where=str(path)) from None
    except Exception as error:
        # The parser lets through what converting a value raises: ValueError for a date with month 13, KeyError for
        # `!!bool maybe`, and others for other tags.
        what = (
            " ".join(str(error).split())
            if isinstance(error, (YAMLError, ValueError))
            else f"a value that is not of its tag ({error})"
        )
        raise UserInputError(f"this is not readable YAML: {what}", where=str(path)) from None


def _mapping_at(data: dict[str, Any], at: FieldPath) -> dict[str, Any]:
    """The mapping that lies at `at`."""
    node: Any = data
    for key in at:
        node = node[key]
    return node


def overlay(base: LocatedData, extra: LocatedData, at: FieldPath = ()) -> None:
    """Lays `extra` over `base` in place: mappings merge, everything else is replaced, null removes the field."""
    target, source = _mapping_at(base.data, at), _mapping_at(extra.data, at)
    for key, value in source.items():
        here = (*at, key)
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            overlay(base, extra, here)
            continue
        for marks in (base.keys, base.values):
            for old in [k for k in marks if k[: len(here)] == here]:
                del marks[old]
        if value is None:
            target.pop(key, None)
            continue
        target[key] = value
        for marks, new_marks in ((base.keys, extra.keys), (base.values, extra.values)):
            marks.update({k: v for k, v in new_marks.items() if k[: len(here)] == here})


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise UserInputError("this is a folder, not a YAML file", where=str(path))
        with open_regular(path) as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserInputError(f"the file cannot be read: {error.strerror or error}", where=str(path)) from None
    if len(raw) > _MAX_FILE_BYTES:
        raise UserInputError("the file is larger than 256 KiB; a profile is a page of YAML", where=str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise UserInputError("the file is not UTF-8 text", where=f"{path}:{line}:{column}") from None


def _yaml_error(path: Path, error: Any) -> HarnessError:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    problem = " ".join(str(error.problem or error.context or "broken YAML").split())
    if "found character '\\t'" in problem:
        return UserInputError("a tab, where YAML allows only spaces", where=where, hint="indent with spaces")
    if problem.startswith("found duplicate key"):
        return UserInputError(problem.removeprefix("found "), where=where, hint="keep one of the two")
    return UserInputError(f"broken YAML: {problem}", where=where)


def _plain(node: Any, at: FieldPath, located: LocatedData, path: Path) -> Any:
    """Round-trip YAML nodes as plain JSON values; notes the place of each."""
    if len(located.values) > _MAX_VALUES or len(at) > _MAX_DEPTH:
        raise UserInputError(_TOO_MUCH, where=str(path))
    tag = getattr(getattr(node, "tag", None), "value", None)
    if tag:
        raise UserInputError(f"found the tag {tag}, which has no meaning here", where=str(located.values[at]))
    if isinstance(node, Mapping):
        plain: dict[str, Any] = {}
        for key, value in node.items():
            if not isinstance(key, str):
                raise UserInputError(f"the key {key!r} is not text", where=str(located.values[at]), hint="quote it")
            _encodable(key, str(located.values[at]))
            here = (*at, str(key))
            _note(node, key, here, located, path)
            plain[str(key)] = _plain(value, here, located, path)
        return plain
    if isinstance(node, Sequence) and hasattr(node, "lc"):  # not text, not !!binary, not !!pairs
        for position in range(len(node)):
            _note(node, position, (*at, position), located, path)
        return [_plain(value, (*at, position), located, path) for position, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, str):
        return _encodable(node, str(located.values[at]))
    for kind in (int, float):  # ruamel's own scalars are subclasses of these, and of str
        if isinstance(node, kind):
            return kind(node)
    what = f"found {_kind(node)}, which a profile cannot hold"
    raise UserInputError(what, where=str(located.values[at]), hint="put quotes around it if it is text")


def _encodable(text: str, where: str) -> str:
    """The text, unless it holds half of a surrogate pair, which no file and no terminal can show."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserInputError("found text with half of a surrogate pair (\\ud800 to \\udfff)", where=where) from None
    return str(text)


def _note(node: Any, key: Any, here: FieldPath, located: LocatedData, path: Path) -> None:
    """Notes where a key and its value stand. What a YAML merge (`<<`) brought in has no place: its parent's serves."""
    places = (node.lc.data or {}).get(key)
    parent = located.values[here[:-1]]
    if not places:
        located.keys[here] = located.values[here] = parent
        return
    located.keys[here] = Mark(path=path, line=places[0] + 1, column=places[1] + 1)
    value = places[-2:]
    located.values[here] = Mark(path=path, line=value[0] + 1, column=value[1] + 1)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bytes, bytearray)):
        return "binary data"
    if isinstance(value, Sequence):
        return "a list"
    if isinstance(value, (int, float)):
        return "a number"
    return f"a value of type {type(value).__name__}"
