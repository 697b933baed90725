"""Messages of foreign code as one line that a reader can act on."""

from __future__ import annotations

import re

import pytest

from harness.core.reasons import REASON_CHARS, known_reason, plain_reason, telling_line

CUDA = (
    "E0000 00:00:1795902534.382505   30515 cuda_platform.cc:52] failed call to cuInit: CUDA error: UNKNOWN ERROR (303)"
)
MLIR = (
    'loc(callsite(fused["MatMul:", callsite("a@__inference"("/some/file.py":33:1) at "x.py":5:1))): error: '
    "'tfl.transpose' op has mismatched quantized axes of input and output\n"
    "    model = convert(it)\n        ^\n"
    "<unknown>:0: note: loc(fused): called from\n"
    "<unknown>:0: error: failed while converting: 'main': \n"
)
TF_FUNCTION = """Exception encountered when calling layer "quantize_layer" (type QuantizeLayer).

in user code:

    File "/home/me/.venv/lib/python3.11/site-packages/tensorflow_model_optimization/layer.py", line 79, in quantizer_fn  *
        weights=self.quantizer_vars)

    TypeError: Input 'inputs' of 'FakeQuantWithMinMaxVars' Op has type int32, expected float32.


Call arguments received by layer "quantize_layer" (type QuantizeLayer):
  • inputs=tf.Tensor(shape=(None, 12), dtype=int32)
"""
KERAS3 = (
    "Exception encountered when calling Sequential.call().\n\n"
    "\x1b[1mInput 0 with name 'None' of layer 'dense' is incompatible with the layer: expected axis -1 of value 144\x1b[0m\n\n"
    "Arguments received by Sequential.call():\n  • inputs=tf.Tensor(shape=(64, 8, 8, 1))\n"
)
DESERIALIZED = (
    "<class 'keras.src.models.sequential.Sequential'> could not be deserialized properly. Please ensure that components\n\n"
    "config={'module': 'keras', 'class_name': 'Sequential', 'config': {'name': 'sequential'}}.\n\n"
    "Exception encountered: Unknown thing: <keras.src.layers.Dense object at 0x7f11>."
)
GATHER = (
    "Exception encountered when calling layer 'embedding' (type Embedding).\n\n"
    "{{function_node __wrapped__Gather_device_/job:localhost}} indices[0,11] = -1 is not in [0, 50) [Op:ResourceGather] name: \n"
)


@pytest.mark.parametrize(
    "message, reason",
    [
        (MLIR, "'tfl.transpose' op has mismatched quantized axes of input and output"),
        ("Quantization to 16x8-bit not yet supported for op: 'DEQUANTIZE'.", None),
        (CUDA, ""),
        (f"{CUDA}\nthe cause", "the cause"),
        (
            TF_FUNCTION,
            "layer 'quantize_layer' (QuantizeLayer): TypeError: Input 'inputs' of 'FakeQuantWithMinMaxVars' Op has type int32, "
            "expected float32",
        ),
        (
            KERAS3,
            "Input 0 with name 'None' of layer 'dense' is incompatible with the layer: expected axis -1 of value 144",
        ),
        (DESERIALIZED, "Unknown thing: Dense"),
        (GATHER, "layer 'embedding' (Embedding): indices[0,11] = -1 is not in [0, 50)"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\nValueError: too small',
            "ValueError: too small",
        ),
        ("W0000 00:00:17.1  4 lite.cc:3] careful\r\nit\tbroke", "careful; it broke"),
        ("/a/b/site-packages/keras/layer.py:33: it broke", "layer.py: it broke"),
        ("it broke\nit broke\nit broke", "it broke"),
        ("\x1b]0;title\x07\x1b[31mred\x1b[0m \x9bsecret", "red secret"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_the_cause_is_kept_and_the_rest_is_not(message, reason):
    assert plain_reason(message) == (message.rstrip(".") if reason is None else reason)


def test_a_reason_names_a_cause_once_and_stays_short():
    message = "\n".join(["a.py:1: error: one cause", "b.py:2: error: one cause", "c.py:3: error: " + "x" * 900])
    reason = plain_reason(message)
    assert reason.count("one cause") == 1 and len(reason) <= REASON_CHARS and reason.endswith("…")


def test_a_message_of_megabytes_takes_no_time():
    for filler in ("loc(", "/a/b/c", "\x1b[", "<class '", "error: ", "x" * 1000 + "\n"):
        assert len(plain_reason(filler * 500_000)) <= REASON_CHARS


def test_known_messages_have_a_sentence_of_their_own():
    table = ((re.compile(r"no kernel for (?P<op>\w+)"), "there is no {op}; replace it"),)
    assert known_reason("ERROR: no kernel for FOO here", table) == "there is no FOO; replace it"
    assert known_reason("something else", table) is None


def test_the_last_telling_line_of_a_log_is_no_noise():
    log = f"F0000 Check failed: a < b\n{CUDA}\nloaded\n"
    assert telling_line(log, ("heck failed", "rror")) == "F0000 Check failed: a < b"
    assert telling_line(CUDA, ("rror",)) == ""
