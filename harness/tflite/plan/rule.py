"""What the rule for one op sees of its node: inputs, options and state; and how it adds steps to the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import UnsupportedError
from harness.tflite.graph import Node, Tensor
from harness.tflite.plan.values import (
    EIGHT_BITS,
    Buffer,
    Operand,
    Step,
    Value,
    check_moved,
    check_quantization,
    check_wide,
    declared,
    describe,
    operand_of,
)
from harness.tflite.plan.variables import Variables

if TYPE_CHECKING:
    from harness.tflite.plan.lowering import Lowering

_MOST_ELEMENTS = 2**31 - 1


class NodeRule:
    """What the rule for one op sees of its node; refusals are raised as UnsupportedError."""

    def __init__(self, lowering: Lowering, node: Node) -> None:
        self.node, self._lowering, self._graph = node, lowering, lowering.graph
        self.kernels = lowering.kernels

    @property
    def input_count(self) -> int:
        return len(self.node.inputs)

    def option(self, name: str, default: Any) -> Any:
        """A field of the node's options table; `default` is the schema's."""
        return self.node.options.get(name, default)

    def input(self, position: int) -> Value:
        found = self.optional(position)
        if found is None:
            raise UnsupportedError(f"its input {position} is missing", hint="the model is damaged")
        return found

    def optional(self, position: int) -> Value | None:
        tensor = self._graph.input_at(self.node, position)
        return None if tensor is None else self._lowering.value(tensor.index)

    def activation(self, position: int) -> Value:
        """An 8-bit input with one scale."""
        found = self.input(position)
        check_quantization(found)
        check_shape(found)
        return found

    def intermediate(self, position: int) -> Tensor | None:
        """What the node computes on the way, as the .tflite describes it."""
        places = self.node.intermediates
        found = places[position] if position < len(places) else -1
        return None if found < 0 else self._graph.tensors[found]

    def state(self, position: int, dtype: str, shape: Sequence[int]) -> tuple[Value, Buffer]:
        """A variable tensor of this node, all zeros at first: as it is declared, and its memory.

        Raises:
            UnsupportedError: no variable tensor, or another type or shape.
        """
        value = self.variable_tensor(position, dtype, shape)
        if dtype != "float32":
            check_wide(value, (dtype,))
        return value, self.state_of(position, value.size_bytes)

    def state_of(self, position: int, size_bytes: int, value: int = 0) -> Buffer:
        """Memory that keeps its values, bytes of `value` at first, by the variable tensor that it is named after."""
        tensor = self._graph.input_at(self.node, position)
        assert tensor is not None
        return self._lowering.state(tensor, size_bytes, value)

    def variable_tensor(self, position: int, dtype: str, shape: Sequence[int]) -> Value:
        """A variable tensor of this node as it is declared.

        Raises:
            UnsupportedError: no variable tensor, or another type or shape.
        """
        tensor = self._graph.input_at(self.node, position)
        if tensor is None or not tensor.is_variable or tensor.dtype != dtype or tuple(tensor.shape) != tuple(shape):
            found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise UnsupportedError(
                f"its state is {found}", hint=f"it must be a variable tensor, {dtype} {list(shape)}: convert again"
            )
        value = declared(tensor)
        if len(value.scales) != 1 and dtype != "float32":
            raise UnsupportedError(f"its state has {len(value.scales)} scales", hint="convert again")
        return value

    @property
    def variables(self) -> Variables:
        return self._lowering.variables

    def variable(self) -> tuple[Value, Buffer]:
        """The resource variable whose handle is input 0: its first value, and its memory."""
        return self._lowering.variable(self.node.inputs[0] if self.node.inputs else -1)

    def name_handle(self) -> None:
        """The output is the handle of a variable: a name, no memory."""
        index = self.node.outputs[0]
        handle = declared(self._graph.tensors[index])
        if handle.dtype != "resource":
            raise UnsupportedError(f"its output is {handle.dtype}, not a handle", hint="the model is damaged")
        self._lowering.set_value(index, replace(handle, buffer=Buffer(name=handle.name, size_bytes=0)))

    def assign(self, kept: Buffer, source: Value) -> None:
        """Adds the step that writes a variable's memory."""
        step = Step(
            op="ASSIGN",
            operands={"input": operand_of(source), "output": kept},
            fields={"count": kept.size_bytes},
            writes=kept,
            node=self.node.index,
            tflite_op=self.node.op,
        )
        self._lowering.steps.append(step)

    def wide(self, position: int) -> Value:
        """An int16 input with one scale and a zero point of 0."""
        found = self.input(position)
        check_wide(found)
        check_shape(found)
        return found

    def moved(self, position: int) -> Value:
        """An input of 8 or 16 bits, or of float32, that is moved and not computed with."""
        found = self.input(position)
        check_moved(found)
        check_shape(found)
        return found

    def real(self, position: int) -> Value:
        """A float32 input."""
        found = self.input(position)
        if found.dtype != "float32":
            raise UnsupportedError(
                f"'{found.name}' is {found.dtype}, and its other tensors are float32", hint="convert again"
            )
        check_shape(found)
        return found

    def real_target(self, shape: Sequence[int], dtype: str = "float32") -> Value:
        """The first output, of a node on float32 inputs."""
        target = self.target(shape)
        if target.dtype != dtype:
            raise UnsupportedError(f"its output is {target.dtype}", hint=f"from float32 the kernel makes {dtype}")
        return target

    def readers(self) -> tuple[Node, ...] | None:
        """The nodes that read the first output; None when it is an output of the model."""
        index = self.node.outputs[0]
        return None if index in self._graph.outputs else self._graph.consumers.get(index, ())

    def stored_shape(self, node: Node, position: int) -> tuple[int, ...]:
        """The declared shape of another node's input; empty when absent."""
        tensor = self._graph.input_at(node, position)
        return () if tensor is None else tensor.shape

    def integers(self, position: int, what: str) -> list[int]:
        """A constant input of indices, flattened."""
        found = self.input(position)
        if found.data is None or found.data.dtype.kind != "i" or found.dtype in EIGHT_BITS:
            raise UnsupportedError(
                f"its {what} is not constant" if found.data is None else f"its {what} is {found.dtype}",
                hint="a plan has fixed shapes; convert with a fixed input shape",
            )
        return [int(v) for v in found.data.reshape(-1)]

    def declared_output(self) -> tuple[int, ...] | None:
        """The shape of the first output as the .tflite declares it; None where a dimension is dynamic."""
        tensor = self._graph.tensors[self.node.outputs[0]]
        sizes = (*tensor.shape, *tensor.shape_signature)
        return tensor.shape if tensor.shape and min(sizes) > 0 else None

    def target(self, shape: Sequence[int], position: int = 0) -> Value:
        """An output as the .tflite declares it, checked against the shape that follows from the inputs."""
        if position >= len(self.node.outputs):
            raise UnsupportedError(f"its output {position} is missing", hint="the model is damaged")
        tensor = self._graph.tensors[self.node.outputs[position]]
        made = replace(declared(tensor), shape=tuple(int(size) for size in shape))
        check_shape(made)
        stored = tuple(abs(size) for size in tensor.shape)
        fixed = tensor.shape_signature or tensor.shape
        dynamic = len(fixed) == len(made.shape) and all(f in (-1, s) for f, s in zip(fixed, made.shape, strict=True))
        if stored != made.shape and tensor.shape and not dynamic:
            raise UnsupportedError(
                f"its output {describe(tensor)} is declared as {list(tensor.shape)}, and {list(made.shape)} "
                "follows from its inputs",
                hint="convert again with a fixed input shape",
            )
        return made

    def write(self, target: Value, position: int = 0) -> Buffer:
        """New memory for an output; successors read it."""
        buffer = Buffer(name=target.name or f"tensor_{self.node.outputs[position]}", size_bytes=target.size_bytes)
        self._lowering.set_value(self.node.outputs[position], replace(target, buffer=buffer))
        return buffer

    def alias(self, source: Value, target: Value, position: int = 0) -> None:
        """The output is the input's memory, or the input's constant, under another name and shape."""
        data = None if source.data is None else source.data.reshape(target.shape)
        self._lowering.set_value(self.node.outputs[position], replace(target, buffer=source.buffer, data=data))

    def emit(
        self,
        op: str,
        target: Value,
        operands: Mapping[str, Operand | Sequence[Operand]],
        fields: Mapping[str, int | float | Sequence[int]],
        *,
        in_place: Sequence[Value] = (),
        scratch_bytes: int = 0,
        position: int = 0,
    ) -> None:
        """Adds a step that writes an output.

        Args:
            operands: without `output` and `scratch`.
            in_place: inputs that the output may lie on.
            scratch_bytes: memory during this step, for records that have `scratch`.
        """
        operands, fields = dict(operands), dict(fields)
        scratch = None
        if "weights" in operands:
            if scratch_bytes:
                scratch = Buffer(name=f"scratch of node {self.node.index}", size_bytes=scratch_bytes, is_scratch=True)
            operands["scratch"] = scratch
            fields["scratch_bytes"] = scratch_bytes
        buffer = self.write(target, position)
        operands["output"] = buffer
        self._lowering.steps.append(
            Step(
                op=op,
                operands=operands,
                fields=fields,
                writes=buffer,
                scratch=scratch,
                node=self.node.index,
                tflite_op=self.node.op,
                in_place=tuple(value.buffer for value in in_place if value.buffer is not None),
            )
        )

    def between(
        self, op: str, made: Value, operands: Mapping[str, Operand], fields: Mapping[str, int | float | Sequence[int]]
    ) -> Value:
        """Adds a step whose result only this node reads: `made`, whose memory comes with it."""
        buffer = Buffer(name=f"inside node {self.node.index}", size_bytes=made.size_bytes)
        self._lowering.steps.append(
            Step(
                op=op,
                operands={**operands, "output": buffer},
                fields=fields,
                writes=buffer,
                node=self.node.index,
                tflite_op=self.node.op,
            )
        )
        return replace(made, buffer=buffer, data=None)


def check_shape(value: Value) -> None:
    """Refuses tensors without elements and those that 31 bits cannot count."""
    if any(size < 1 for size in value.shape):
        raise UnsupportedError(f"'{value.name}' has the shape {list(value.shape)}: nothing in it")
    if math.prod(value.shape) * 4 > _MOST_ELEMENTS:
        raise UnsupportedError(
            f"'{value.name}' has the shape {list(value.shape)}, more than a microcontroller's memory can hold"
        )
