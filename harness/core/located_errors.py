"""Validation of profiles: every complaint says file, line, column, field, what was found and what is allowed."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.core.errors import UserInputError
from harness.core.fields import OneOfMany
from harness.core.located_yaml import FieldPath, LocatedData, Mark
from harness.core.names import near_names

_MAX_PROBLEMS = 12

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], located: LocatedData) -> Model:
    """The data as a model.

    Raises:
        UserInputError: with every problem on a line of its own.
    """
    try:
        # By way of JSON: there, pydantic's strict mode takes a list for a tuple and a whole number for a float.
        return model.model_validate_json(json.dumps(located.data), strict=True)
    except ValidationError as error:
        problems = sorted(
            {_problem(model, located, e) for e in error.errors(include_url=False)},
            key=lambda p: (str(p.mark.path), p.mark.line, p.mark.column),
        )
    if len(problems) == 1:
        raise UserInputError(problems[0].text, where=str(problems[0].mark))
    shown = [f"  {p.mark}: {p.text}" for p in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"  and {len(problems) - _MAX_PROBLEMS} more")
    raise UserInputError(f"{len(problems)} problems\n" + "\n".join(shown), where=str(problems[0].mark.path))


@dataclass(frozen=True, kw_only=True)
class _Problem:
    mark: Mark
    text: str


def _problem(model: type[BaseModel], located: LocatedData, error: Any) -> _Problem:
    at, missing = _locate(located, error["loc"])
    name = ".".join(str(part) for part in (*at, *missing)) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(model, located, at[:-1])
        near = near_names(str(at[-1]), known, most=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed here: {', '.join(known)}"
        return _Problem(mark=located.keys[at], text=f"unknown field '{name}'; {hint}")
    if missing and kind in ("missing", "union_tag_not_found"):
        return _Problem(mark=located.values[at], text=f"the field '{name}' is missing")
    if kind == "union_tag_not_found":
        text = f"the field '{name}.{error['ctx']['discriminator'].strip(chr(39))}' is missing"
        return _Problem(mark=located.values[at], text=text)
    if kind == "inconsistent":
        return _Problem(mark=located.keys.get(at, located.values[()]), text=f"{name}: {error['msg']}")
    if kind == "broken":
        return _Problem(mark=located.values.get(at, located.values[()]), text=f"{name}: {error['msg']}")
    if kind == "union_tag_invalid":
        tag = (*at, error["ctx"]["discriminator"].strip("'"))
        text = f"{name}.{tag[-1]}: found '{error['ctx']['tag']}'; allowed: {error['ctx']['expected_tags']}"
        return _Problem(mark=located.values.get(tag, located.values[at]), text=text)
    on_key = error["loc"][-1:] == ("[key]",)
    mark = (located.keys if on_key else located.values).get(at, located.values[()])
    found = json.dumps(at[-1] if on_key else error["input"], default=str)
    found = found if len(found) <= 60 else found[:57] + "..."
    return _Problem(mark=mark, text=f"{name}: found {found}; allowed: {_allowed(error)}")


def _allowed(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    words = {
        "string_type": "text (in quotes if it looks like a number)",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "dict_type": "a mapping",
        "tuple_type": "a list",
        "model_type": "a mapping of fields",
        "finite_number": "a finite number",
        "too_short": "at least one entry",
    }
    bounds = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
    bound_words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    if kind == "literal_error":
        return str(context["expected"])
    if kind in bounds:
        return f"{bound_words[bounds[kind]]} {context[bounds[kind]]:g}"
    return words.get(kind) or str(error["msg"])


def _locate(located: LocatedData, loc: Sequence[str | int]) -> tuple[FieldPath, FieldPath]:
    """Splits pydantic's location into the part that is in the data and the rest, a missing field.

    Pydantic also names the chosen member of a union (`link`, `ssh`, `port`) and marks keys (`[key]`); both go.
    """
    at: FieldPath = ()
    node: Any = located.data
    for position, part in enumerate(loc):
        if part == "[key]":
            continue
        if isinstance(node, dict) and part in node or isinstance(node, list) and isinstance(part, int):
            at, node = (*at, part), node[part]  # type: ignore[index]
        elif isinstance(node, dict) and node.get("type") == part:
            continue
        else:
            return at, tuple(loc[position:])
    return at, ()


def _fields_at(model: Any, located: LocatedData, at: FieldPath) -> list[str]:
    """The field names allowed in the mapping at `at`."""
    annotation: Any = model
    for depth in range(len(at) + 1):
        annotation = _member(annotation, located, at[:depth])
        if depth == len(at):
            break
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(at[depth])].annotation
        else:
            # A list is `tuple[X, ...]`, a mapping `dict[str, X]`.
            arguments = typing.get_args(annotation)
            annotation = arguments[0] if arguments[-1:] == (Ellipsis,) else arguments[-1]
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return sorted(annotation.model_fields) if is_model else []


def _member(annotation: Any, located: LocatedData, at: FieldPath) -> Any:
    """Looks through `Annotated`, `X | None` and unions told apart by `type`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _member(typing.get_args(annotation)[0], located, at)
    if isinstance(annotation, type) and issubclass(annotation, OneOfMany):
        return annotation.form_of(_node(located, at))
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    members = [m for m in typing.get_args(annotation) if m is not type(None)]
    if len(members) == 1:
        return _member(members[0], located, at)
    node = _node(located, at)
    for member in members:
        if node.get("type") in typing.get_args(member.model_fields["type"].annotation):
            return member
    return members[0]


def _node(located: LocatedData, at: FieldPath) -> Any:
    node: Any = located.data
    for key in at:
        node = node[key]
    return node
