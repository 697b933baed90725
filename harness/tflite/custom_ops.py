"""Custom ops by what put them into a model: a compiler for a chip, TensorFlow's own ops, or somebody's own."""

from __future__ import annotations

#: op that a compiler leaves in place of what it compiled -> who made it, and what runs it
_COMPILED = {
    "edgetpu-custom-op": "the model was compiled for Google's Edge TPU, whose own runtime alone runs it; give the .tflite "
    "that it was compiled from",
    "ethos-u": "the model was compiled by Vela, and only an Ethos-U NPU's delegate runs it; give the .tflite that it was "
    "compiled from (backends with `compile: vela` compile it themselves)",
}
_FLEX = "Flex"


def custom_op_words(name: str | None) -> str:
    """What is to be said of a custom op that a runtime does not know.

    Args:
        name: the op's custom name.
    """
    if name in _COMPILED:
        return f"custom op {name}: {_COMPILED[name]}"
    if name is not None and name.startswith(_FLEX):
        return (
            f"custom op {name}: TensorFlow's op {name.removeprefix(_FLEX)}, which only a runtime built with the Flex delegate "
            "runs; convert without SELECT_TF_OPS, which names the layer that needs it"
        )
    return f"custom op {name}: only a delegate or a runtime built with it can run it"
