"""Delegates as data: which operators one takes, and the rules by which it refuses a node of an operator it has.

A delegate is one YAML file; docs/guides/adding-a-delegate.md explains the fields. Files are looked for in `delegates/` of every
folder of device profiles, then among those that came with the harness.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from harness.core import paths
from harness.core.errors import UserInputError, unknown_name
from harness.core.names import near_names
from harness.tflite import schema

if TYPE_CHECKING:
    from harness.core.located_yaml import LocatedData

_PACKAGED = Path(__file__).parent
_SUFFIX = ".yaml"
_MAX_BASES = 5


def schema_op_name(name: str) -> str | None:
    """The schema's name of an operator, from any usual way to write it: `FullyConnected`, `Conv2d`, `CONV_2D`.

    Returns None when the schema has no such operator.
    """
    return _names_by_letters().get(_letters(name))


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


@cache
def _names_by_letters() -> dict[str, str]:
    return {_letters(op): op for op in schema.op_codes()}


def _check_op(value: str) -> str:
    op = schema_op_name(value)
    if op is None:
        raise _unknown_op(value)
    return op


def _unknown_op(value: str) -> PydanticCustomError:
    """The complaint about an operator, with the nearest ones; letters alone are compared, as they are when one is looked up."""
    known = _names_by_letters()
    near = near_names(_letters(value), known, most=2)
    words = "an operator of the .tflite schema, such as CONV_2D"
    if near:
        words += f"; did you mean {' or '.join(known[letters] for letters in near)}?"
    return PydanticCustomError("not_allowed", "{words}", {"words": words})


def _check_dtype(value: str) -> str:
    if value not in schema.TYPE_BITS:
        raise _unknown(value, "a tensor type of the .tflite schema", schema.TYPE_BITS)
    return value


def _check_option(value: str) -> str:
    if value not in schema.option_names():
        raise _unknown(value, "an option field of the .tflite schema", schema.option_names())
    return value


def _unknown(value: str, what: str, known: Iterable[str]) -> PydanticCustomError:
    """The complaint about a name, with the nearest one that is known."""
    near = near_names(value, known, most=1)
    return PydanticCustomError(
        "not_allowed", "{words}", {"words": what + (f"; did you mean {near[0]}?" if near else "")}
    )


def _check_why(value: str) -> str:
    try:
        value.format(**dict.fromkeys(PLACEHOLDERS, ""))
    except (KeyError, IndexError, ValueError, AttributeError):
        words = f"a text whose placeholders are among {', '.join('{' + name + '}' for name in PLACEHOLDERS)}"
        raise PydanticCustomError("not_allowed", "{words}", {"words": words}) from None
    return value


#: what a rule's text may name
PLACEHOLDERS = ("op", "offender", "input0", "input1", "input2", "input3", "output0")

Op = Annotated[str, AfterValidator(_check_op)]


Dtype = Annotated[str, AfterValidator(_check_dtype)]
OptionField = Annotated[str, AfterValidator(_check_option)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Rule(_Part):
    """Refuses a node when everything that it states holds. What is left out does not matter.

    `why` may name the operator (`{op}`) and types: `{input0}` to `{input3}`, `{output0}`, and `{offender}`, that of the input
    which met the conditions.
    """

    why: Annotated[str, Field(min_length=3, max_length=200), AfterValidator(_check_why)]
    #: operators it speaks of; none means all that the delegate has
    ops: tuple[Op, ...] = ()
    except_ops: tuple[Op, ...] = ()
    #: positions of the inputs that the `input_` fields speak of (any one of them has to meet all of these); none means all
    inputs: tuple[int, ...] = ()
    input_dtype: tuple[Dtype, ...] = ()
    input_dtype_not: tuple[Dtype, ...] = ()
    input_constant: bool | None = None
    input_quantized: bool | None = None
    input_per_channel: bool | None = None
    #: any zero point is not 0
    input_zero_point: bool | None = None
    input_rank_over: int | None = None
    input_rank_not: int | None = None
    #: a dimension of the input is 0
    input_empty: bool | None = None
    #: scale or zero point of the input are not those of output 0
    input_scale_differs: bool | None = None
    #: size of the input's last dimension
    input_last_over: int | None = None
    output_dtype: tuple[Dtype, ...] = ()
    output_dtype_not: tuple[Dtype, ...] = ()
    output_quantized: bool | None = None
    output_per_channel: bool | None = None
    #: no shape is stored: it is known only at run time
    output_shape_unknown: bool | None = None
    #: output 0 does not have this scale
    output_scale_not: float | None = None
    #: two inputs of different types
    types_differ: tuple[int, int] | None = None
    #: output 0 is of another type than this input
    output_type_differs: int | None = None
    #: options of the node: any of these values; anything but these; not 0
    option: dict[OptionField, tuple[str | int, ...]] = Field(default_factory=dict)
    option_not: dict[OptionField, tuple[str | int, ...]] = Field(default_factory=dict)
    option_set: tuple[OptionField, ...] = ()
    #: a grouped convolution (its weights have fewer input channels than its input) with a batch over 1
    grouped_batch: bool | None = None
    #: the first dimension of input 0 and output 0 differ
    batch_differs: bool | None = None


class DelegateTable(_Part):
    """One delegate. `taken` and `refused` are its published list; what stands in neither is not in that list."""

    name: str
    title: Annotated[str, Field(min_length=1, max_length=120)]
    #: where the facts come from
    source: Annotated[str, Field(min_length=1, max_length=1000)]
    #: another table whose rules hold here as well; `taken` then narrows that table's
    base: str | None = None
    taken: tuple[Op, ...]
    refused: tuple[Op, ...] = ()
    #: custom operators that it takes, such as those that its vendor's compiler puts into a model
    taken_custom: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    #: it sums in float16, whatever the model's types are: outputs may be further from the model's definition
    float16_accumulation: bool = False
    #: an option of the delegate itself that lists further operators to refuse, separated by commas
    refuse_option: str | None = None


def known_delegates(devices_option: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """The file of every delegate there is a table for, by name."""
    folders = [folder / "delegates" for folder in paths.device_dirs(devices_option)] + [_PACKAGED]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            found.setdefault(path.name.removesuffix(_SUFFIX), path)
    return found


def load_delegate_table(name: str, devices_option: str | os.PathLike[str] | None = None) -> DelegateTable:
    """The table of one delegate, its base's rules included.

    Args:
        name: as device profiles name the delegate, such as `vx`.
        devices_option: a folder to look in first, as for device profiles.

    Raises:
        UserInputError: no such table, or a faulty one (with file, line and column).
    """
    return _load(name, known_delegates(devices_option), 0)


_RENAME = "file and table have one name, the one that profiles give the delegate"


def _located(path: Path) -> LocatedData:
    from harness.core.located_yaml import load_yaml

    return load_yaml(path)


@lru_cache(maxsize=64)
def _read(path: Path, _version: tuple[int, int]) -> DelegateTable:
    """A table without its base. Reading YAML with positions takes 0.1 s, and a run asks once per cell."""
    from harness.core.located_errors import validate

    return validate(DelegateTable, _located(path))


def _load(name: str, known: Mapping[str, Path], depth: int) -> DelegateTable:
    if name not in known:
        raise unknown_name("delegate table", name, known)
    try:
        facts = known[name].stat()
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(known[name])) from None
    table = _read(known[name], (facts.st_mtime_ns, facts.st_size))
    if table.name != name:
        where = str(_located(known[name]).values[("name",)])
        raise UserInputError(
            f"name: found {table.name!r}; allowed: {name!r}, which the file is called", where=where, hint=_RENAME
        )
    if table.base is None:
        return table
    if depth >= _MAX_BASES:
        raise UserInputError("its bases never end", where=str(known[name]), hint="a table cannot be a base of itself")
    if table.base not in known:
        unknown = unknown_name("delegate table", table.base, known)
        where = str(_located(known[name]).values[("base",)])
        raise UserInputError(f"base: {unknown.what}", where=where, hint=unknown.hint)
    base = _load(table.base, known, depth + 1)
    extra = [op for op in table.taken if op not in base.taken]
    if extra:
        what = f"`taken` names {', '.join(extra)}, which the base {table.base} does not take"
        where = str(_located(known[name]).values[("taken",)])
        raise UserInputError(what, where=where, hint="a table with a base narrows it")
    return table.model_copy(
        update={"rules": base.rules + table.rules, "refused": tuple({*base.refused, *table.refused})}
    )
