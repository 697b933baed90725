"""Which outputs of a model are judged, by what, and under which names their labels stand in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError, unknown_name
from harness.workloads.metrics.base import Ends, Metric

#: what converters put around the name that an output had
_PREFIX, _SUFFIX = "StatefulPartitionedCall_", ":0"
#: what labels of whole parts begin with
_OF_PARTS = ("y_test", "y_train", "y_calibration", "y_val")
#: stands for a metric where an output is left out on purpose
NONE = "none"
#: between what several outputs are judged by, where all of it is one text
_BETWEEN = ";"
_ASKED = re.compile(r"(?:(?P<output>.+?)=)?(?P<metric>[^=()\s]+(?:\([^()]*\))?)")


@dataclass(frozen=True, kw_only=True)
class OutputMetric:
    """What one output is judged by.

    Attributes:
        output: its position, from 0.
        name: what it is called in records, tables and the data's arrays.
        metric: None: by nothing, on purpose.
    """

    output: int
    name: str
    metric: Metric | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One `[OUTPUT=]METRIC` of a user.

    Attributes:
        output: a name or a position; None where none was named.
        metric: as `get_metric` takes it, or `none`.
    """

    output: str | None
    metric: str


def asked_metrics(text: str | None) -> tuple[Asked, ...]:
    """What `--metric` says, of which several are one text with `;` between.

    Raises:
        UserInputError: it is not of that form, or names an output twice.
    """
    found: list[Asked] = []
    for part in filter(None, (part.strip() for part in (text or "").split(_BETWEEN))):
        match = _ASKED.fullmatch(part)
        if match is None:
            raise UserInputError(
                f"'{part}' names no metric", hint="write --metric NAME, NAME(SETTING=VALUE) or OUTPUT=NAME"
            )
        asked = Asked(output=match["output"], metric=match["metric"])
        if any(other.output == asked.output for other in found):
            of = f"for the output '{asked.output}'" if asked.output else "for one output"
            raise UserInputError(f"two metrics {of}", hint="with several outputs, write --metric OUTPUT=NAME for each")
        found.append(asked)
    return tuple(found)


def asked_text(output: str, metric: str, where: str | None = None) -> str:
    """What asks for one output's metric, as `asked_metrics` reads it.

    Args:
        where: the output's name stands there.

    Raises:
        UserInputError: the output's name has a character that parts such texts.
    """
    if _BETWEEN in output or "=" in output:
        what = f"the output's name '{output}' has a '{_BETWEEN}' or a '='"
        raise UserInputError(what, where=where, hint="name it by its position, counted from 0")
    return f"{output}={metric}"


def joined(texts: Sequence[str]) -> str | None:
    """Several `--metric` as the one text that `asked_metrics` reads; None for none."""
    return f"{_BETWEEN} ".join(texts) if texts else None


def output_name(outputs: Sequence[Ends], position: int) -> str:
    """What an output is called: its own name without what converters put around it; its position where that is no name of it
    alone.
    """
    names = [output.name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for output in outputs]
    name = names[position]
    # Digits alone would be read as another one's position.
    return name if name and names.count(name) == 1 and not name.isdigit() else str(position)


def position_of(outputs: Sequence[Ends], wanted: str, where: str | None = None) -> int:
    """The position of an output that is named by its name, its tensor's, or its position.

    Raises:
        UserInputError: there is none.
    """
    for position, output in enumerate(outputs):
        if wanted in (output_name(outputs, position), output.name, str(position)):
            return position
    known = [output_name(outputs, position) for position in range(len(outputs))]
    error = unknown_name("output", wanted, known)
    raise UserInputError(error.what, where=where, hint=f"the model has {', '.join(known)}")


def built_position(outputs: Sequence[Ends], position: int) -> int:
    """Where a .tflite that was built here has the Keras model's output of that position: the converter orders them as it likes,
    and its signature calls them `output_0`, `output_1` as the model has them.
    """
    names = [output.name for output in outputs]
    wanted = f"output_{position}"
    return names.index(wanted) if wanted in names else position


def label_keys(keys: Sequence[str], base: str, outputs: Sequence[Ends], where: str | None = None) -> dict[int, str]:
    """Where each output's labels stand: position -> array. `base` alone is the first output's, `base_NAME` or `base_0` any one's.

    Args:
        keys: the arrays of the file.
        base: `y_test`, `y_train` or `y`.

    Raises:
        UserInputError: labels that belong to no output, or to one of two arrays.
    """
    found = {0: base} if base in keys else {}
    if len(outputs) < 2:
        return found
    for key in (key for key in keys if is_further(key, base)):
        position = position_of(outputs, key.removeprefix(f"{base}_"), f"{where}, array '{key}'" if where else None)
        if position in found:
            raise UserInputError(f"the arrays '{found[position]}' and '{key}' are labels of one output", where=where)
        found[position] = key
    return dict(sorted(found.items()))


def is_further(key: str, base: str) -> bool:
    """Whether an array is called as labels of a further output: `base_NAME`. Of `y`, those of a part are none: `y_test`, ..."""
    return key.startswith(f"{base}_") and (base != "y" or not key.startswith(_OF_PARTS))


def unlabelled(asked: Sequence[Asked], labelled: Sequence[int], outputs: Sequence[Ends], data: Path, base: str) -> None:
    """Refuses a metric for an output that has no labels.

    Raises:
        UserInputError: names the array that is missing.
    """
    for one in asked:
        if one.output is None or one.metric == NONE:
            continue
        position = position_of(outputs, one.output)
        if position not in labelled:
            name = output_name(outputs, position)
            raise UserInputError(
                f"the metric '{one.metric}' of output '{name}' needs labels, and there is no array '{base}_{name}'",
                where=str(data),
            )
