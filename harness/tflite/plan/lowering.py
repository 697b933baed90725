"""From the nodes of a .tflite to the steps of a plan: the walk over the graph, and what is asked of each node's rule.

Every node is looked at even when an earlier one cannot run, so that a user sees all reasons at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from harness.core.errors import HarnessError, UnsupportedError
from harness.tflite.arithmetic import node_arithmetic
from harness.tflite.graph import Graph, Node, Tensor
from harness.tflite.plan.base import KernelSet, Unsupported
from harness.tflite.plan.fold import fold
from harness.tflite.plan.reasons import refuse_arithmetic, refuse_floats, refuse_op, refuse_type, refuse_wide
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.values import (
    EIGHT_BITS,
    Buffer,
    Operand,
    Step,
    Value,
    constant_values,
    declared,
    describe,
    operand_of,
)
from harness.tflite.plan.variables import Variables
from harness.tflite.plan.words_float import FLOAT_RECORDS

#: op of the .tflite -> what makes steps of it
Rules = Mapping[str, Callable[[NodeRule], None]]

_IO_TYPES = (*EIGHT_BITS, "float32", "int16", "int32", "int64", "bool")


class Lowering:
    """Makes the steps of one model. Use: `run()`, then read `steps`, `inputs`, `outputs`, `problems`.

    Attributes:
        inputs, outputs: the buffers of the model's inputs and outputs, in its order.
        problems: why it cannot run; the steps are of no use then.
    """

    def __init__(
        self, graph: Graph, kernels: KernelSet, rules: Rules, wide_rules: Rules, float_rules: Rules, *, floats: bool
    ) -> None:
        """`floats`: whether the firmware has float kernels; moves need none."""
        self.graph, self.kernels, self._floats = graph, kernels, floats
        self._rules, self._wide_rules, self._float_rules = rules, wide_rules, float_rules
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
        refuse_arithmetic(self.graph, node)
        lower = self._rule(node)
        done = len(self.steps)
        lower(rule)
        if not self._floats and any(step.op in FLOAT_RECORDS for step in self.steps[done:]):
            raise refuse_floats(self.graph, node)

    def _rule(self, node: Node) -> Callable[[NodeRule], None]:
        """The rule of a node's op, for what its activations are."""
        wide, real = is_wide(self.graph, node), is_real(self.graph, node)
        rules = self._wide_rules if wide else self._float_rules if real else self._rules
        lower = rules.get(node.op)
        if lower is None and real and not self._floats:
            raise refuse_floats(self.graph, node)
        if lower is None and wide:
            refuse_wide(node.op, rules)
        if lower is None and real:
            raise UnsupportedError(
                "float arithmetic of an op that has no such kernel here", hint=f"these have: {', '.join(sorted(rules))}"
            )
        if lower is None:
            raise UnsupportedError("this runtime has no such op", hint=f"it has: {', '.join(sorted(rules))}")
        return lower

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


def is_real(graph: Graph, node: Node) -> bool:
    """Does the node compute with, or move, float32?"""
    return node_arithmetic(graph, node) in ("float", "weight-only")


def live_nodes(graph: Graph) -> list[Node]:
    """The nodes that the outputs depend on, of this inference or of a later one, in the model's order."""
    needed = set(graph.outputs)
    live = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) or node.op in ("ASSIGN_VARIABLE", "CALL_ONCE"):
            live.append(node)
            needed.update(i for i in node.inputs if i >= 0)
    return live[::-1]
