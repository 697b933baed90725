"""The records of the float32 ops: devices/cortex_m/runtime/plan_float.h in Python."""

from __future__ import annotations

from harness.tflite.plan.record import Record, words_of

#: the number of the first one; which a firmware has, stands in bits of its own of HELLO
FIRST_FLOAT = 80

_CONV = (
    "@input @weights @bias @folded @multipliers @shifts @scratch @output scratch_bytes per_channel stride_height "
    "stride_width dilation_height dilation_width pad_top pad_left input_offset weights_offset output_offset "
    "activation_min:f activation_max:f rounding batches input_height input_width input_channels filter_height "
    "filter_width filter_channels output_height output_width output_channels"
)
_UNARY = "@input @output"
_POOL = (
    f"{_UNARY} batches channels input_height input_width output_height output_width filter_height filter_width "
    "stride_height stride_width pad_top pad_left activation_min:f activation_max:f is_uint8"
)
_PAIR = "@input1 @input2 @output rank dims[] strides1[] strides2[]"
_IMAGES = "batches input_height input_width output_height output_width channels"
_RECORDS = {
    "FLOAT_CONV_2D": _CONV,
    "FLOAT_DEPTHWISE_CONV_2D": _CONV,
    "FLOAT_TRANSPOSE_CONV": _CONV,
    "FLOAT_MAX_POOL_2D": _POOL,
    "FLOAT_AVERAGE_POOL_2D": _POOL,
    "FLOAT_REDUCE": f"{_UNARY} rank dims[] reduced[] reduction divisor:f",
    "FLOAT_PAIR": f"{_PAIR} pairing low:f high:f",
    "FLOAT_COMPARE": f"{_PAIR} comparison",
    "FLOAT_MAP": f"{_UNARY} count function a:f b:f",
    "FLOAT_SOFTMAX": f"{_UNARY} rows depth logarithm beta:f",
    "FLOAT_L2_NORMALIZATION": f"{_UNARY} rows depth",
    "FLOAT_BATCH_MATMUL": f"{_PAIR} rows depth columns row_stride1 depth_stride1 depth_stride2 column_stride2",
    "FLOAT_ARG_MAX": f"{_UNARY} outer size inner smallest",
    "FLOAT_RESIZE_BILINEAR": f"{_UNARY} @rows @row_parts @columns @column_parts {_IMAGES}",
    "FLOAT_SVDF": "@input @state @feature_weights @time_weights @bias @output batches inputs filters rank memory low:f high:f",
    "FLOAT_LSTM": (
        "@input @state @input_weights @recurrent_weights @bias @output batches steps inputs units gates time_major cell_clip:f"
    ),
}

#: in the order of plan_float.h
FLOAT_RECORDS: dict[str, Record] = {
    name: Record(number=FIRST_FLOAT + place, words=words_of(words))
    for place, (name, words) in enumerate(_RECORDS.items())
}
