"""The signatures of a SavedModel: functions with named inputs and outputs, read off `saved_model.pb` without TensorFlow.

A signature is a graph without layers. It can be converted and quantized after training; nothing of it can be trained. What it
computes is run by TensorFlow while it is calibrated, so graphs with ops that run code or touch files are refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.workloads.keras.protobuf import protobuf_fields

_MAX_BYTES = 2 << 30
#: numbers of tensorflow/core/framework/types.proto
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
}  # fmt: skip
#: type of a signature's input -> what samples are given as; the graph is fed that, cast to its own type
FED_AS = {
    "float32": "float32", "float16": "float32", "bfloat16": "float32", "float64": "float32", "uint8": "float32",
    "int8": "float32", "int16": "float32", "int32": "int32", "int64": "int32", "uint16": "int32",
}  # fmt: skip
#: ops that run code of somebody's, or read and write files, other than a model's own variables
_REFUSED = (
    "PyFunc",
    "EagerPyFunc",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "ImmutableConst",
    "LoadLibrary",
    "Remote",
)
_REFUSED_PARTS = ("Reader", "Dataset", "FromTextFile", "FileSystem", "PyFunc")
#: ops that leave shares shares
_PASSING = frozenset({"Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "StopGradient", "ConcatV2"})
_SQUASHING = frozenset({"Softmax", "Sigmoid"})
_CALLS = frozenset({"StatefulPartitionedCall", "PartitionedCall"})
_USUAL = "serving_default"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One end of a signature; `shape` with the batch, -1 where any size fits, None where not even the rank is known."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Output(Tensor):
    """One output of a signature.

    Attributes:
        squashed_by: softmax or sigmoid, where it is the last thing that changes the output's values.
    """

    squashed_by: Literal["softmax", "sigmoid"] | None

    @property
    def squashed(self) -> bool:
        """Whether its values are shares."""
        return self.squashed_by is not None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One function of a SavedModel.

    Attributes:
        inputs: at least one, in the order of their names.
        outputs: at least one, in the order of their names: the file has none of its own.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Output, ...]


def split_signature(path: Path) -> tuple[Path, str | None]:
    """`FOLDER#SIGNATURE` in its two parts; a path that is there is taken as it is."""
    name, mark, signature = path.name.rpartition("#")
    if not mark or not name or exists(path):
        return path, None
    return path.with_name(name), signature


def read_signature(folder: Path, name: str | None) -> Signature:
    """One signature of a SavedModel.

    Args:
        name: None for the only one, or `serving_default` of several.

    Raises:
        UserInputError: no SavedModel, a damaged one, no such signature, no input or output, types that are no numbers, or
            ops that run code or touch files.
    """
    where = str(folder)
    graph, signatures = _read(folder)
    if not signatures:
        raise UserInputError(
            "has no signature", where=where, hint="save it with tf.saved_model.save(model, folder, signatures=...)"
        )
    known = ", ".join(sorted(signatures))
    if name is None:
        name = next(iter(signatures)) if len(signatures) == 1 else _USUAL
        if name not in signatures:
            hint = f"name one behind the folder, such as {folder.name}#{sorted(signatures)[0]} (in harness.toml: model.signature)"
            raise UserInputError(f"has the signatures {known}, and none is '{_USUAL}'", where=where, hint=hint)
    if name not in signatures:
        raise UserInputError(f"has no signature '{name}'", where=where, hint=f"it has {known}")
    _refuse_ops(graph, where)
    inputs, outputs = signatures[name]
    if not inputs:
        raise UserInputError(f"signature '{name}' has no input", where=where, hint="export a function of samples")
    for source, _ in inputs:
        if source.dtype not in FED_AS:
            of = f"input '{source.name}'" if len(inputs) > 1 else "values"
            what = f"signature '{name}' takes {of} of type {source.dtype}, to which no samples are converted"
            raise UserInputError(what, where=where, hint="export a signature that takes numbers")
    if not outputs:
        raise UserInputError(f"signature '{name}' has no output", where=where, hint="export one that gives something")
    for result, _ in outputs:
        if result.dtype not in (*FED_AS, "bool"):
            what = (
                f"signature '{name}' gives '{result.name}' of type {result.dtype}, and no values that could be judged"
            )
            raise UserInputError(what, where=where, hint="export a signature that gives numbers")
    found = [
        Output(name=one.name, dtype=one.dtype, shape=one.shape, squashed_by=_squashed_by(graph, tensor))
        for one, tensor in outputs
    ]
    return Signature(
        name=name,
        inputs=tuple(sorted((source for source, _ in inputs), key=lambda source: source.name)),
        outputs=tuple(sorted(found, key=lambda one: one.name)),
    )


@dataclass(frozen=True)
class _Graph:
    """Nodes by name, and functions by name: nodes, outputs in order, and what each returns."""

    nodes: dict[str, dict[int, list[Any]]]
    functions: dict[str, tuple[dict[str, dict[int, list[Any]]], list[str], dict[str, str]]]


_End = tuple[Tensor, str]
_Signatures = dict[str, tuple[list[_End], list[_End]]]


def _read(folder: Path) -> tuple[_Graph, _Signatures]:
    path = folder / "saved_model.pb"
    if not path.is_file():
        hint = "give a .keras, .h5 or .tflite file, or the folder that holds saved_model.pb"
        raise UserInputError("is a folder without saved_model.pb", where=str(folder), hint=hint)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserInputError("saved_model.pb is larger than 2 GiB", where=str(folder))
        (meta,) = _fields(path.read_bytes())[2][:1]
        fields = _fields(meta)
        graph = _graph(fields.get(2, [b""])[0])
        signatures = {key: _signature(value) for key, value in map(_entry, fields.get(5, []))}
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        hint = "it is truncated or damaged; save the model again"
        raise UserInputError(f"saved_model.pb cannot be read ({error})", where=str(folder), hint=hint) from None
    signatures.pop("__saved_model_init_op", None)
    return graph, signatures


def _fields(data: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, value in protobuf_fields(bytes(data)):
        found.setdefault(number, []).append(value)
    return found


def _entry(data: bytes) -> tuple[str, bytes]:
    """Key and value of a map's entry."""
    fields = _fields(data)
    return fields[1][0].decode(), fields.get(2, [b""])[0]


def _signature(data: bytes) -> tuple[list[_End], list[_End]]:
    fields = _fields(data)
    inputs, outputs = ([_end(*_entry(entry)) for entry in fields.get(number, [])] for number in (1, 2))
    return inputs, outputs


def _end(name: str, data: bytes) -> _End:
    fields = _fields(data)
    tensor = fields.get(1, [b""])[0].decode()
    return Tensor(name=name, dtype=_DTYPES.get(fields.get(2, [0])[0], "unknown"), shape=_shape(fields.get(3))), tensor


def _shape(data: list[bytes] | None) -> tuple[int, ...] | None:
    fields = _fields(data[0]) if data else {}
    if data is None or fields.get(3, [0])[0]:
        return None
    sizes = (_fields(dimension).get(1, [0])[0] for dimension in fields.get(2, []))
    return tuple(-1 if size >= 1 << 63 else size for size in sizes)


def _graph(data: bytes) -> _Graph:
    fields = _fields(data)
    functions = {}
    for function in _fields(fields.get(2, [b""])[0]).get(1, []):
        inner = _fields(function)
        head = _fields(inner[1][0])
        returned = dict((key, bytes(value).decode()) for key, value in map(_entry, inner.get(4, [])))
        results = [_fields(argument)[1][0].decode() for argument in head.get(3, [])]
        functions[head[1][0].decode()] = (_nodes(inner.get(3, [])), results, returned)
    return _Graph(_nodes(fields.get(1, [])), functions)


def _nodes(entries: list[bytes]) -> dict[str, dict[int, list[Any]]]:
    found = {}
    for entry in entries:
        node = _fields(entry)
        found[node[1][0].decode()] = node
    return found


def _op(node: dict[int, list[Any]]) -> str:
    return node[2][0].decode()


def _refuse_ops(graph: _Graph, where: str) -> None:
    """Refuses graphs that do more than compute."""
    for nodes in (graph.nodes, *(function[0] for function in graph.functions.values())):
        for name, node in nodes.items():
            op = _op(node)
            if op.startswith(_REFUSED) or any(part in op for part in _REFUSED_PARTS):
                raise UserInputError(
                    f"node '{name}' is the op {op}, which runs code or touches files, and is not run from a model",
                    where=where,
                    hint="export the part of the model that computes",
                )


def _squashed_by(graph: _Graph, tensor: str) -> Literal["softmax", "sigmoid"] | None:
    """Whether softmax or sigmoid makes a tensor, and which, looked for through calls and ops that move values about."""
    nodes, name = graph.nodes, tensor
    for _ in range(200):
        key, *index = name.removeprefix("^").split(":")
        node = nodes.get(key)
        if node is None:
            return None
        op = _op(node)
        if op in _SQUASHING:
            return "softmax" if "softmax" in op.lower() else "sigmoid"
        if op in _CALLS:
            called = graph.functions.get(_called(node))
            if called is None:
                return None
            nodes, results, returned = called
            position = int(index[-1]) if index and index[-1].isdigit() else 0
            name = returned.get(results[position], "") if position < len(results) else ""
            continue
        inputs = [value.decode() for value in node.get(3, [])]
        if op not in _PASSING or not inputs:
            return None
        name = inputs[0]
    return None


def _called(node: dict[int, list[Any]]) -> str:
    """The function that a call names: its attribute `f`."""
    for key, value in map(_entry, node.get(5, [])):
        if key == "f":
            return _fields(_fields(value)[10][0])[1][0].decode()
    return ""
