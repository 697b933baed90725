"""From the nodes of a .tflite to the steps of a plan: the walk over the graph, and what the rules for single ops stand on.

Every node is looked at even when an earlier one cannot run, so that a user sees all reasons at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from harness.core.errors import HarnessError, UnsupportedError
from harness.tflite.graph import Graph, Node, Tensor
from harness.tflite.plan.base import KernelSet, Unsupported
from harness.tflite.plan.fold import fold
from harness.tflite.plan.reasons import refuse_arithmetic, refuse_op, refuse_type
from harness.tflite.plan.values import (
    EIGHT_BITS,
    Buffer,
    Operand,
    Step,
    Value,
    check_moved,
    check_quantization,
    check_wide,
    constant_values,
    declared,
    describe,
    operand_of,
)
from harness.tflite.plan.variables import Variables

#: op of the .tflite -> what makes steps of it
Rules = Mapping[str, "Callable[[NodeRule], None]"]

_MOST_ELEMENTS = 2**31 - 1
_IO_TYPES = (*EIGHT_BITS, "float32", "int16", "int32", "bool")


class Lowering:
    """Makes the steps of one model. Use: `run()`, then read `steps`, `inputs`, `outputs`, `problems`.

    Attributes:
        inputs, outputs: the buffers of the model's inputs and outputs, in its order.
        problems: why it cannot run; the steps are of no use then.
    """

    def __init__(self, graph: Graph, kernels: KernelSet, rules: Rules, wide_rules: Rules) -> None:
        self.graph, self.kernels, self._rules, self._wide_rules = graph, kernels, rules, wide_rules
        self.steps: list[Step] = []
        self.inputs: list[Buffer] = []
        self.outputs: list[Buffer] = []
        self.problems: list[Unsupported] = []
        self._values: dict[int, Value] = {}
        self._states: dict[int | str, Buffer] = {}
        self.variables = Variables(graph)

    def run(self) -> None:
        for index in self.graph.inputs:
            if not self._guard(None, "model", partial(self._take_input, self.graph.tensors[index])):
                self._values.setdefault(index, self._placeholder(self.graph.tensors[index]))
        for node in live_nodes(self.graph):
            if not self._guard(node.index, node.custom_name or node.op, partial(self._lower, node)):
                for index in node.outputs:
                    self._values.setdefault(index, self._placeholder(self.graph.tensors[index]))
        if not self.graph.outputs:
            self.problems.append(Unsupported(node=None, op="model", reason="it has no output"))
        for index in self.graph.outputs:
            self._guard(None, "model", partial(self._give_output, self.graph.tensors[index]))
        self._drop_unread()

    def value(self, index: int) -> Value:
        """The value of a tensor: written by an earlier node, an input, or a constant."""
        if index not in self._values:
            tensor = self.graph.tensors[index]
            if tensor.is_variable:
                raise UnsupportedError(
                    f"'{tensor.name}' keeps its values between inferences, and this op does not",
                    hint="only SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM have such tensors here",
                )
            if not tensor.is_constant:
                raise UnsupportedError(
                    f"{describe(tensor)} is read before anything writes it", hint="the model is damaged"
                )
            self._values[index] = replace(declared(tensor), data=constant_values(tensor))
        return self._values[index]

    def state(self, tensor: Tensor, size_bytes: int, value: int) -> Buffer:
        """The memory of a variable tensor, which a step fills with bytes of `value` at every reset."""
        if tensor.index not in self._states:
            name = tensor.name or f"state_{tensor.index}"
            made = Buffer(name=name, size_bytes=size_bytes, tensors=[tensor.index], is_state=True)
            fields = {"count": size_bytes, "value": value}
            fill = Step(op="FILL", operands={"output": made}, fields=fields, writes=made, on_reset=True)
            self._keep(tensor.index, made, fill)
        return self._states[tensor.index]

    def variable(self, handle: int) -> tuple[Value, Buffer]:
        """A resource variable by the tensor of its handle: its first value, and its memory, which a step copies that into."""
        name, first = self.variables.first_value(handle)
        if name not in self._states:
            made = Buffer(name=name, size_bytes=first.size_bytes, is_state=True)
            operands: dict[str, Operand] = {"input": first.data, "output": made}
            fields = {"count": first.size_bytes}
            self._keep(name, made, Step(op="ASSIGN", operands=operands, fields=fields, writes=made, on_reset=True))
        return first, self._states[name]

    def _keep(self, key: int | str, made: Buffer, step: Step) -> None:
        self._states[key] = made
        self.steps.insert(0, step)

    def set_value(self, index: int, value: Value) -> None:
        self._values[index] = value
        if value.buffer is not None:
            value.buffer.tensors.append(index)

    def _guard(self, node: int | None, op: str, action: Callable[[], None]) -> bool:
        """Runs `action`; a refusal becomes a problem."""
        try:
            # Scales out of all proportion overflow to infinity, which is refused in words where a multiplier is made of it.
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                action()
        except HarnessError as error:
            self.problems.append(Unsupported(node=node, op=op, reason=error.what, hint=error.hint))
            return False
        return True

    def _lower(self, node: Node) -> None:
        refuse_op(node)
        rule = NodeRule(self, node)
        sources = [None if i < 0 or self.graph.tensors[i].is_variable else self.value(i) for i in node.inputs]
        if len(node.outputs) == 1 and node.op != "VAR_HANDLE":
            target = declared(self.graph.tensors[node.outputs[0]])
            data = fold(node.op, node.options, sources, target)
            if data is not None:
                self.set_value(node.outputs[0], replace(target, shape=data.shape, data=np.ascontiguousarray(data)))
                return
        wide = is_wide(self.graph, node)
        refuse_arithmetic(self.graph, node)
        lower = (self._wide_rules if wide else self._rules).get(node.op)
        if lower is None and wide:
            raise UnsupportedError(
                "int16 activations (16x8 quantization) of an op that has no such kernel here",
                hint=f"these have: {', '.join(sorted(self._wide_rules))}; or use a recipe such as ptq-int8-io",
            )
        if lower is None:
            raise UnsupportedError("this runtime has no such op", hint=f"it has: {', '.join(sorted(self._rules))}")
        lower(rule)

    def _take_input(self, tensor: Tensor) -> None:
        refuse_type(tensor, "the input", _IO_TYPES)
        value = declared(tensor)
        check_shape(value)
        if any(size < 0 for size in tensor.shape_signature[1:]):
            raise UnsupportedError(
                f"the input '{tensor.name}' has the shape {list(tensor.shape_signature)}",
                hint="only the batch may be -1, and counts as 1: convert with fixed shapes",
            )
        buffer = Buffer(name=tensor.name or f"input_{tensor.index}", size_bytes=value.size_bytes, is_input=True)
        self.inputs.append(buffer)
        if tensor.index in self._values:
            raise UnsupportedError(f"{describe(tensor)} is an input twice")
        if tensor.dtype == "uint8":
            buffer.tensors.append(tensor.index)
            flipped = Buffer(name=f"{buffer.name} as int8", size_bytes=value.size_bytes)
            self.flip(buffer, flipped)
            self.set_value(tensor.index, replace(value, buffer=flipped))
        else:
            self.set_value(tensor.index, replace(value, buffer=buffer))

    def _give_output(self, tensor: Tensor) -> None:
        """Brings an output into memory of its own, in the type that the .tflite has."""
        refuse_type(tensor, "the output", _IO_TYPES)
        value = self.value(tensor.index)
        source, size = operand_of(value), value.size_bytes
        if value.data is not None:
            check_shape(value)
            source = (value.data.view(np.uint8) ^ np.uint8(0x80)) if tensor.dtype == "uint8" else value.data
        elif tensor.dtype != "uint8" and not (value.memory.is_input or value.memory.is_output):
            value.memory.is_output = True
            self.outputs.append(value.memory)
            return
        buffer = Buffer(
            name=tensor.name or f"output_{tensor.index}", size_bytes=size, is_output=True, tensors=[tensor.index]
        )
        self.outputs.append(buffer)
        if tensor.dtype == "uint8" and value.data is None:
            self.flip(value.memory, buffer)
        else:
            self.steps.append(
                Step(
                    op="COPY",
                    operands={"input": source, "output": buffer},
                    fields={"count": size},
                    writes=buffer,
                    in_place=(source,) if isinstance(source, Buffer) else (),
                )
            )

    def flip(self, source: Buffer, target: Buffer) -> None:
        """uint8 to int8 of the same meaning, or back."""
        self.steps.append(
            Step(
                op="FLIP_SIGN",
                operands={"input": source, "output": target},
                fields={"count": source.size_bytes},
                writes=target,
                in_place=(source,),
            )
        )

    @staticmethod
    def _placeholder(tensor: Tensor) -> Value:
        """What stands for an output or input that cannot be, so that the nodes behind it can be looked at."""
        return replace(declared(tensor), buffer=Buffer(name=tensor.name, size_bytes=0))

    def _drop_unread(self) -> None:
        """Steps whose result nobody reads, such as the flip of an unused input."""
        read = {id(buffer) for buffer in (*self.outputs, *self._states.values())}
        kept = []
        for step in reversed(self.steps):
            if id(step.writes) in read:
                kept.append(step)
                read.update(id(buffer) for buffer in step.reads)
        self.steps = kept[::-1]


def is_wide(graph: Graph, node: Node) -> bool:
    """Does the node compute with activations of more than 8 bits?"""
    tensors = (*graph.node_inputs(node), *graph.node_outputs(node))
    flowing = [one for one in tensors if not one.is_constant and not one.is_variable]
    return any(one.is_quantized and one.dtype in ("int16", "int32") for one in flowing)


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
        check_wide(value, (dtype,))
        return value, self.state_of(position, value.size_bytes)

    def state_of(self, position: int, size_bytes: int) -> Buffer:
        """Memory that keeps its values, all zeros at first, by the variable tensor that it is named after."""
        tensor = self._graph.input_at(self.node, position)
        assert tensor is not None
        return self._lowering.state(tensor, size_bytes, 0)

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
        if len(value.scales) != 1:
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
        """An input of 8 or 16 bits that is moved and not computed with."""
        found = self.input(position)
        check_moved(found)
        check_shape(found)
        return found

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


def live_nodes(graph: Graph) -> list[Node]:
    """The nodes that the outputs depend on, of this inference or of a later one, in the model's order."""
    needed = set(graph.outputs)
    live = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) or node.op in ("ASSIGN_VARIABLE", "CALL_ONCE"):
            live.append(node)
            needed.update(i for i in node.inputs if i >= 0)
    return live[::-1]
