"""Why a combination cannot be built, in one sentence: which layer, why, and which recipe works.

Known refusals have a sentence of their own; what nobody has met yet is cleaned (`harness.core.reasons`) and kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.core.reasons import known_reason, plain_reason

#: raise it when sentences change: refusals that the cache keeps from before are asked for again
REFUSAL_VERSION = 3


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a refusal is about.

    Attributes:
        recipe: its name.
        is_calibrated: whether the conversion runs the model on samples.
        loops: recurrent layers that a .tflite keeps as loops, as messages name them, such as `'gru' (GRU)`.
    """

    recipe: str
    is_calibrated: bool = False
    loops: tuple[str, ...] = ()


#: what TFLiteConverter and AI Edge Quantizer say -> what it means
_CONVERTER = (
    (
        re.compile(r"Lowering tensor list ops is failed"),
        "a recurrent layer of open length or batch needs lists of tensors, which .tflite has no ops for; give the input a fixed "
        "shape, or unroll=True to the layer",
    ),
    (
        re.compile(r"'tf\.BitwiseAnd' op is neither a custom op nor a flex op"),
        "keras.ops.argmax (Keras 3) works on the bits of its input, which TFLite has no kernel for; leave it out and end the "
        "model with the scores, of which the metrics take the largest",
    ),
    (
        re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op"),
        "TFLite has no kernel for TensorFlow's {op} with these types and shapes; replace the layer that computes it",
    ),
)


def converter_reason(error: BaseException) -> str:
    """What a converter threw, as a reason."""
    message = str(error)
    return known_reason(message, _CONVERTER) or plain_reason(message) or type(error).__name__


def crash_reason(subject: Subject, step: str, how: str) -> str:
    """Why there is no result where a worker process died of a job twice.

    Args:
        subject: what was being built.
        step: what the job was doing.
        how: the signal or exit code, with the last telling line of its log.
    """
    if step == "converting" and subject.is_calibrated and subject.loops:
        return (
            f"layer {subject.loops[0]} is a loop in the .tflite, and TFLiteConverter crashed the process when it calibrated that "
            f"({how}); ptq-float32 and ptq-default work, and with unroll=True in the layer every recipe has plain ops to quantize"
        )
    doing = {
        "converting": "the converter",
        "training": "the training",
        "loading": "loading the model",
        "asking": "asking the model",
    }.get(step, "preparing it")
    return f"{doing} crashed the process ({how})"
