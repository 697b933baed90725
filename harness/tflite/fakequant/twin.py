"""The float twin of a model: float kernels on dequantized constants, activations rounded to what their types can hold.

No integer runtime is safe as a reference: in every one some integer kernel errs. Float kernels are simple and right in all
runtimes looked at, and what an integer model *means* can be said in floats: each constant is S (q - Z), and each activation is
rounded to the numbers that its type can hold. FAKE_QUANT does that rounding; the twin has one after every op that writes a
quantized activation. Hybrid and weight-only models get their weights as floats; a float model comes out as it went in.

The twin has a companion, which is the same model with its rounding taken the other way: activations are clamped to their
ranges but not rounded (MINIMUM and MAXIMUM), and what a hybrid kernel rounds while it runs, the inputs of its products, is
rounded (harness/tflite/fakequant/dynamic.py). How far the two differ is the model's own quantization error: the measure of what
a right device may differ by.

Inputs keep their types (a DEQUANTIZE behind them does the rest), so that the samples of the model are the samples of its twin;
outputs are real numbers. Every tensor of the model keeps its number and holds its real value, except for those in `Twin.places`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite import schema
from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, op_name, options_of, read_tree, write_tree
from harness.tflite.fakequant import recurrent
from harness.tflite.fakequant.dynamic import dynamic_rounding
from harness.tflite.fakequant.values import LIMITS, WIDE, Quantization, quantization_of, real_values, stored_values

#: ops that look at the stored bits of a quantized tensor, for which no float stands
_BIT_OPS = {"CAST", "BITCAST", "RIGHT_SHIFT", "BITWISE_XOR", "STABLEHLO_SHIFT_LEFT", "STABLEHLO_AND"}
#: where ops with integer kernels have their bias (input, weights, bias)
_BIAS = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
    "CONV_3D": (0, 1, 2),
}
_RECURRENT = {op for op in WEIGHTED_OPS if "LSTM" in op}


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A float twin.

    Attributes:
        model: the .tflite.
        activations: main subgraph's tensor -> its quantization, for every activation that is rounded.
        places: tensor of the model -> the tensor of the twin that holds its value, for the outputs of DEQUANTIZE.
        unrounded: activation -> the tensor of the twin that holds what its node computed, before it was rounded or clamped.
        is_plain: nothing in the model is quantized: it is its own twin.
    """

    model: bytes
    activations: dict[int, Quantization]
    places: dict[int, int]
    unrounded: dict[int, int]
    is_plain: bool = False


def float_twin(model: bytes | memoryview, *, companion: bool = False) -> Twin:
    """The float twin of a model, or its companion.

    Args:
        model: the .tflite, quantized in any way, or float.
        companion: rounding the other way.

    Raises:
        UserInputError: a damaged model.
        UnsupportedError: what has no meaning in floats here (casts of stored integers, blockwise and sparse weights, activations
            with one scale per channel).
    """
    tree = read_tree(model)
    parts = [_Subgraph(tree, index, companion) for index in range(len(tree.rows("subgraphs")))]
    if not parts:
        raise UserInputError("is a corrupt .tflite file: it has no subgraph")
    for part in parts:
        part.convert()
    main = parts[0]
    main.keep_interface()
    tree["signature_defs"] = tree["metadata"] = tree["metadata_buffer"] = None
    _drop_unused_buffers(tree)
    return Twin(
        model=write_tree(tree),
        activations=main.activations,
        places=main.places,
        unrounded=main.unrounded,
        is_plain=not any(part.is_quantized for part in parts),
    )


class _Subgraph:
    """One subgraph on its way into floats."""

    def __init__(self, tree: Record, index: int, companion: bool) -> None:
        self._tree = tree
        self._editor = Editor(tree, index)
        self._companion = companion
        self._subgraph = self._editor.subgraph
        self._tensors = self._editor.tensors
        self._quantizations = [quantization_of(tensor) for tensor in self._tensors]
        self.activations: dict[int, Quantization] = {}
        self.places: dict[int, int] = {}
        self.unrounded: dict[int, int] = {}

    @property
    def is_quantized(self) -> bool:
        """Whether any tensor stands for other numbers than it stores."""
        return any(quantization is not None for quantization in self._quantizations)

    def convert(self) -> None:
        operators = self._subgraph.rows("operators")
        for operator in operators:
            self._check(operator)
            self._give_bias_its_scale(operator)
        for tensor in range(len(self._tensors)):
            self._to_float(tensor)
        converted: list[Record] = []
        for operator in operators:
            converted += self._convert(operator)
        self._subgraph["operators"] = converted
        self._subgraph["outputs"] = self._placed(self._subgraph.indices("outputs"))

    def keep_interface(self) -> None:
        """Gives quantized inputs their stored type back, with DEQUANTIZE behind them."""
        inputs = []
        for tensor in self._subgraph.indices("inputs"):
            quantization = self.activations.get(tensor)
            if quantization is not None:
                dtype = quantization.dtype
                shape = self._tensors[tensor].indices("shape")
                stored = self._editor.tensor(
                    self._tensors[tensor].text("name"), shape, dtype, scales=quantization.scales,
                    zero_points=quantization.zero_points,
                )  # fmt: skip
                self._tensors[stored]["shape_signature"] = self._tensors[tensor]["shape_signature"]
                step = self._editor.operator("DEQUANTIZE", [stored], [tensor], options="DequantizeOptions", version=2)
                self._subgraph.rows("operators").insert(0, step)
                tensor = stored
            inputs.append(tensor)
        self._subgraph["inputs"] = np.array(inputs, np.int32)

    # ------------------------------------------------------------------------------------------------------ tensors

    def _raw(self, tensor: int) -> bytes | memoryview | None:
        """The bytes of a constant; None for what is computed, given or kept."""
        buffers, index = self._tree.rows("buffers"), self._tensors[tensor].number("buffer")
        data = buffers[index]["data"] if 0 < index < len(buffers) else None
        return data if data is not None and len(data) else None

    def _to_float(self, tensor: int) -> None:
        """Constants become their real values, activations and variables float32."""
        record, quantization = self._tensors[tensor], self._quantizations[tensor]
        if quantization is None:
            return
        raw = self._raw(tensor)
        if raw is not None:
            values = real_values(stored_values(record, raw), quantization)
            record["buffer"] = self._editor.buffer(values.astype("<f4").tobytes())
        elif quantization.dtype in WIDE:
            raise UnsupportedError(
                f"'{record.text('name')}' is an activation of type {quantization.dtype} with a scale"
            )
        else:
            quantization.real_range()  # refuses what cannot be rounded, before anything is built on it
            self.activations[tensor] = quantization
        record["type"] = schema.type_code("float32")
        record["quantization"] = None

    def _give_bias_its_scale(self, operator: Record) -> None:
        """Bias of old files carries no scale: it is that of the input times that of the weights."""
        positions, inputs = _BIAS.get(op_name(self._tree, operator)), operator.indices("inputs")
        if positions is None or len(inputs) <= positions[2] or inputs[positions[2]] < 0:
            return
        data, weights, bias = (inputs[position] for position in positions)
        stored, source, kernel = self._tensors[bias], self._quantizations[data], self._quantizations[weights]
        dtype = schema.type_name(stored.number("type"))
        if self._quantizations[bias] is not None or dtype not in WIDE or source is None or kernel is None:
            return
        scales = source.scales[0] * kernel.scales
        self._quantizations[bias] = Quantization(dtype=dtype, scales=scales, zero_points=np.zeros(1), axis=0)

    # -------------------------------------------------------------------------------------------------------- nodes

    def _check(self, operator: Record) -> None:
        op = op_name(self._tree, operator)
        touched = [t for t in (*operator.indices("inputs"), *operator.indices("outputs")) if t >= 0]
        quantized = any((q := self._quantizations[t]) is not None and q.dtype in LIMITS for t in touched)
        if op in _BIT_OPS and quantized:
            raise UnsupportedError(f"{op} reads stored integers, for which no real number stands")
        for options in options_of(operator):
            if options.table == "FullyConnectedOptions" and options.number("weights_format"):
                raise UnsupportedError("FULLY_CONNECTED has shuffled weights")

    def _convert(self, operator: Record) -> list[Record]:
        """The operators that stand for one: itself with float tensors, and the rounding of what it writes."""
        op, outputs = op_name(self._tree, operator), operator.indices("outputs")
        source = operator.indices("inputs")[0] if len(operator.indices("inputs")) else -1
        if op == "DEQUANTIZE" and source >= 0 and self._quantizations[source] is not None:
            self.places[outputs[0]] = self.places.get(source, source)
            return []
        if op == "QUANTIZE" and outputs[0] in self.activations:
            source = self.unrounded[outputs[0]] = self.places.get(source, source)
            return self._round(source, outputs[0])
        return self._with_rounding(op, operator)

    def _with_rounding(self, op: str, operator: Record) -> list[Record]:
        converted, steps, written = operator.copy(), [], []
        hidden = self._hidden_state(op, operator)
        for tensor in operator.indices("outputs"):
            if tensor in self.activations:
                raw = self.unrounded[tensor] = self._like(tensor, "before rounding")
                steps += self._round(raw, tensor)
                if hidden is not None:
                    raw, mapped = self._mapped(raw, hidden)
                    steps = [*mapped, *steps]
                tensor = raw
            written.append(tensor)
        inputs = self._placed(operator.indices("inputs"))
        if hidden is not None:
            self._fold_hidden_state(inputs, hidden)
        before = self._round_hybrid_input(op, operator, inputs) if self._companion else []
        converted["inputs"] = inputs
        converted["outputs"] = np.array(written, np.int32)
        if op in _RECURRENT:
            converted["intermediates"] = None  # ranges of the integer kernel's inner sums
        for field in ("builtin_options", "builtin_options_2"):
            if operator[field] is not None:
                converted[field] = _for_floats(operator[field])
        return [*before, converted, *steps]

    def _hidden_state(self, op: str, operator: Record) -> recurrent.HiddenState | None:
        """How an integer LSTM's state and output differ from what it computes; None where they do not."""
        if op not in recurrent.OPS or operator["intermediates"] is None:
            return None
        inputs, inner = operator.indices("inputs"), operator.indices("intermediates")
        if len(inputs) <= recurrent.STATE or len(inner) <= recurrent.HIDDEN or inputs[recurrent.STATE] < 0:
            return None
        # With a projection the state is another; with normalization a bias stands elsewhere.
        if any(place < len(inputs) and inputs[place] >= 0 for place in recurrent.PROJECTION + recurrent.NORMALIZATION):
            return None
        tensors = inner[recurrent.HIDDEN], inputs[recurrent.STATE], operator.indices("outputs")[0]
        maps = recurrent.hidden_state(*(self._quantizations[tensor] for tensor in tensors))
        return None if maps is None or maps.is_plain else maps

    def _fold_hidden_state(self, inputs: np.ndarray, maps: recurrent.HiddenState) -> None:
        """Gives an LSTM the weights and biases that make of h what its integer kernel makes of the stored state."""
        for places in recurrent.GATES:
            if max(places) >= len(inputs) or min(inputs[place] for place in places) < 0:
                continue
            weights, bias = (self._float_constant(int(inputs[place])) for place in places)
            if weights is None or bias is None:
                continue
            for place, values in zip(places, recurrent.folded(weights, bias, maps), strict=True):
                name = f"{self._tensors[int(inputs[place])].text('name')} with the state's zero point"
                inputs[place] = self._editor.tensor(name, values.shape, "float32", data=values)

    def _float_constant(self, tensor: int) -> np.ndarray | None:
        """A constant that `_to_float` has made floats; None for what is computed."""
        raw = self._raw(tensor)
        return None if raw is None else np.frombuffer(raw, "<f4").reshape(self._tensors[tensor].indices("shape"))

    def _mapped(self, target: int, maps: recurrent.HiddenState) -> tuple[int, list[Record]]:
        """A tensor for h, and the ops that make of it what reads the output sees."""
        plain, scaled = self._like(target, "as computed"), self._like(target, "in the output's steps")
        return plain, [
            self._editor.operator("MUL", [plain, self._limit(maps.k)], [scaled], options="MulOptions"),
            self._editor.operator("ADD", [scaled, self._limit(maps.d)], [target], options="AddOptions"),
        ]

    def _round_hybrid_input(self, op: str, operator: Record, inputs: np.ndarray) -> list[Record]:
        """What a hybrid kernel does to its input first; the input's place in `inputs` is changed to the rounded one."""
        positions = WEIGHTED_OPS.get(op)
        if positions is None or op in _RECURRENT or len(inputs) <= max(positions):
            return []
        data, weights = (operator.indices("inputs")[position] for position in positions)
        stored, source = self._quantizations[weights], self._quantizations[data]
        if stored is None or source is not None or self._raw(weights) is None or weights in self.activations:
            return []
        shape, depth = self._tensors[data].indices("shape"), None
        if op in ("FULLY_CONNECTED", "BATCH_MATMUL"):
            depth = shape[-1] if op == "BATCH_MATMUL" else self._tensors[weights].indices("shape")[-1]
        rounded = self._like(data, "rounded for a hybrid kernel")
        steps = dynamic_rounding(self._editor, int(inputs[positions[0]]), rounded, row_length=depth)
        inputs[positions[0]] = rounded
        return steps

    def _round(self, source: int, target: int) -> list[Record]:
        quantization = self.activations[target]
        low, high = quantization.real_range()
        if not self._companion:
            fields = {"min": low, "max": high, "num_bits": quantization.bits}
            return [self._editor.operator("FAKE_QUANT", [source], [target], options="FakeQuantOptions", fields=fields)]
        below = self._like(target, "clamped above")
        top, bottom = self._limit(high), self._limit(low)
        options = "MaximumMinimumOptions"
        return [
            self._editor.operator("MINIMUM", [source, top], [below], options=options),
            self._editor.operator("MAXIMUM", [below, bottom], [target], options=options),
        ]

    def _limit(self, value: float) -> int:
        return self._editor.tensor("limit", (), "float32", data=np.array(value, np.float32))

    def _like(self, tensor: int, what: str) -> int:
        """A float tensor of the same shape."""
        record = self._tensors[tensor]
        made = self._editor.tensor(f"{record.text('name')} {what}", record.indices("shape"), "float32")
        self._tensors[made]["shape_signature"] = record["shape_signature"]
        return made

    def _placed(self, tensors: tuple[int, ...]) -> np.ndarray:
        return np.array([self.places.get(t, t) for t in tensors], np.int32)


def _for_floats(options: Record) -> Record:
    """Options that speak of integer kernels, set to what float kernels expect."""
    copy = options.copy()
    for field in ("asymmetric_quantize_inputs", "quantized_bias_type"):
        if options[field] is not None:
            copy[field] = 0
    return copy


def _drop_unused_buffers(tree: Record) -> None:
    """Empties the buffers of the integer constants, which nothing refers to any more; numbers stay."""
    used = {tensor.number("buffer") for subgraph in tree.rows("subgraphs") for tensor in subgraph.rows("tensors")}
    for index, buffer in enumerate(tree.rows("buffers")):
        if index not in used:
            buffer["data"] = None
