/* Int8 kernels: pure functions of parameters, shapes and buffers.
 *
 * No allocation, no globals, no floating point (but for kn_quantize and kn_dequantize, whose job it is), nothing of the
 * C library but memcpy, memmove and memset. Bit-exact with the reference kernels of tflite-runtime 2.14.0
 * (BUILTIN_REF) when `rounding` is KN_ROUND_DOUBLE. docs/internals/kernels.md has the arithmetic, README.md the rules.
 *
 * Conventions, for every function here:
 *   - tensors are dense, row-major, NHWC; element counts fit in 31 bits, sizes of filters, strides, dilations and
 *     paddings in 15;
 *   - multipliers and shifts are those of requantize.h, made on the host (prepare.h or
 * harness/tflite/quantized_params.py);
 *   - an `offset` is added to a value (so an input offset is minus the zero point), a `zero_point` is the zero point;
 *   - -128 <= activation_min <= activation_max <= 127, zero points in [-128, 127], offsets in [-127, 128];
 *   - the caller has checked shapes and ranges: kernels read and write exactly what the shapes say;
 *   - output must not overlap an input unless the comment says that it may be the same buffer;
 *   - a uint8 tensor is an int8 tensor with the sign bits flipped and the zero point lowered by 128 (kn_flip_sign).
 */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdint.h>

#include "requantize.h"

#define KN_MAX_RANK 6

/* Scales of the output channels: one entry, or one for each channel where per_channel is not 0. */
typedef struct {
    const int32_t *multipliers;
    const int32_t *shifts;
    int32_t per_channel;
} kn_channel_scales;

/* ---- conv.c, depthwise.c ------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches;
    int32_t input_height, input_width, input_channels;
    int32_t filter_height, filter_width;
    int32_t filter_channels; /* CONV_2D: input channels of one group. DEPTHWISE_CONV_2D: the depth multiplier. */
    int32_t output_height, output_width, output_channels;
} kn_conv_shape;

typedef struct {
    int32_t stride_height, stride_width;     /* >= 1 */
    int32_t dilation_height, dilation_width; /* >= 1 */
    int32_t pad_top, pad_left;               /* >= 0; what lies outside counts as the input's zero point */
    int32_t input_offset;
    int32_t weights_offset; /* 0 for int8 models; minus the weights' zero point for uint8 models */
    int32_t output_offset;
    int32_t activation_min, activation_max;
    int32_t rounding; /* enum kn_rounding */
} kn_conv_params;

/* CONV_2D. weights [output_channels, filter_height, filter_width, filter_channels]; bias [output_channels] in units of
 * input scale times weight scale, or NULL. Grouped where filter_channels < input_channels: input_channels must be a
 * multiple of filter_channels, and output_channels of the number of groups. */
void kn_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output);

/* DEPTHWISE_CONV_2D. weights [1, filter_height, filter_width, output_channels] with output_channels = input_channels *
 * filter_channels (the depth multiplier). */
void kn_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                          const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output);

/* ---- transpose_conv.c ---------------------------------------------------------------------------------------- */

/* TRANSPOSE_CONV: weights [output_channels, filter_height, filter_width, input_channels]; every input pixel adds its
 * filter to the output, `stride` apart, from -pad on. Of the parameters, dilations are 1 and weights_offset is 0;
 * filter_channels is input_channels. Bias as in kn_conv_2d. */
void kn_transpose_conv(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                       const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output);

/* ---- wide.c: activations of 16 bits ---------------------------------------------------------------------------- *
 *
 * Zero points, and so all offsets, are 0; activation ranges are those of int16. Weights are int8. `wide` says how the
 * reference adds up: 1, in 64 bits, with int64 biases (two words each, the lower first) and kn_requantize_wide, which
 * shifts of -31..7 suit; 0, in 32 bits with int32 biases, as the int8 kernels. */
void kn_conv_2d_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                   int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias, int16_t *output);
void kn_depthwise_conv_2d_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                             int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias,
                             int16_t *output);
void kn_transpose_conv_16(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                          int32_t wide, const int16_t *input, const int8_t *weights, const int32_t *bias,
                          int16_t *output);

/* ---- fully_connected.c --------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches, inputs, outputs;
    int32_t input_offset;
    int32_t weights_offset; /* minus the weights' zero point; 0 where the weights are per-channel */
    int32_t output_offset;
    int32_t activation_min, activation_max;
    int32_t rounding;
} kn_fully_connected_params;

/* FULLY_CONNECTED. input [batches, inputs], weights [outputs, inputs], bias [outputs] or NULL. */
void kn_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                        const int8_t *weights, const int32_t *bias, int8_t *output);

/* ---- pool.c -------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t batches, channels;
    int32_t input_height, input_width;
    int32_t output_height, output_width;
    int32_t filter_height, filter_width;
    int32_t stride_height, stride_width; /* >= 1 */
    int32_t pad_top, pad_left;           /* >= 0; what lies outside is not looked at */
    int32_t activation_min, activation_max;
    int32_t is_uint8; /* AVERAGE_POOL_2D of a uint8 model: ties round up instead of away from zero */
} kn_pool_params;

/* MAX_POOL_2D and AVERAGE_POOL_2D: input and output share scale and zero point. A window that meets no input, which
 * SAME and VALID padding never make, gives 0 for the average and -128 for the maximum, clamped. */
void kn_max_pool_2d(const kn_pool_params *params, const int8_t *input, int8_t *output);
void kn_average_pool_2d(const kn_pool_params *params, const int8_t *input, int8_t *output);

/* ---- mean.c -------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t rank; /* 1..KN_MAX_RANK */
    int32_t dims[KN_MAX_RANK];
    int32_t reduced[KN_MAX_RANK]; /* 1 where MEAN reduces this dimension, else 0 */
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift; /* input scale / output scale / number of reduced elements */
    int32_t rounding;
} kn_mean_params;

/* MEAN over any set of dimensions. */
void kn_mean(const kn_mean_params *params, const int8_t *input, int8_t *output);

/* ---- broadcast.c, elementwise.c ------------------------------------------------------------------------------ */

/* How two inputs are walked to make one output: strides in elements, 0 along a dimension that is repeated. */
typedef struct {
    int32_t rank; /* 1..KN_MAX_RANK */
    int32_t dims[KN_MAX_RANK];
    int32_t strides1[KN_MAX_RANK];
    int32_t strides2[KN_MAX_RANK];
} kn_broadcast;

/* Fills `broadcast` for two shapes (rank 0..KN_MAX_RANK, dimensions >= 1) after NumPy's rule, neighbouring dimensions
 * merged where both inputs allow it. Returns 0 where the shapes do not fit together, else the elements of the output.
 */
int32_t kn_broadcast_make(kn_broadcast *broadcast, int32_t rank1, const int32_t *dims1, int32_t rank2,
                          const int32_t *dims2);

typedef struct {
    int32_t left_shift; /* 20 */
    int32_t input1_offset, input1_multiplier, input1_shift;
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t activation_min, activation_max;
    int32_t rounding;
} kn_add_params;

typedef struct {
    int32_t input1_offset, input2_offset;
    int32_t output_offset, multiplier, shift;
    int32_t activation_min, activation_max;
    int32_t rounding;
} kn_mul_params;

/* ADD, SUB (input1 - input2) and MUL. The output may be the buffer of an input that is not repeated. */
void kn_add(const kn_add_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output);
void kn_sub(const kn_add_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output);
void kn_mul(const kn_mul_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output);

/* MAXIMUM and MINIMUM of the stored values: the three tensors share scale and zero point. The output may be the buffer
 * of an input that is not repeated. */
void kn_maximum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output);
void kn_minimum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output);

/* ---- wide_elementwise.c ------------------------------------------------------------------------------------- */

/* ADD and SUB of int16 tensors: left_shift is 15. */
void kn_add_16(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int16_t *input1,
               const int16_t *input2, int16_t *output);

/* ---- activations.c ------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift; /* input scale / output scale */
    int32_t activation_min, activation_max;
    int32_t rounding;
} kn_rescale_params;

/* RELU, RELU6, RELU_N1_TO_1 (by the activation range) and QUANTIZE from int8 to int8 (with the whole range). The
 * output may be the input's buffer. */
void kn_rescale(const kn_rescale_params *params, int32_t count, const int8_t *input, int8_t *output);

typedef struct {
    int32_t input_zero_point, output_zero_point;
    int32_t multiplier, shift;             /* for values >= 0: input scale / output scale */
    int32_t alpha_multiplier, alpha_shift; /* for values < 0: the same times alpha; may be negative */
} kn_leaky_relu_params;

/* LEAKY_RELU. Always rounds twice. The output may be the input's buffer. */
void kn_leaky_relu(const kn_leaky_relu_params *params, int32_t count, const int8_t *input, int8_t *output);

typedef struct {
    int32_t input_zero_point, output_zero_point;
    int32_t output_multiplier; /* 0..32767 */
    int32_t output_shift;      /* -15..0 */
    int32_t relu_multiplier;   /* 0..32767 */
    int32_t relu_shift;        /* -15..15 */
} kn_hard_swish_params;

/* HARD_SWISH, x * relu6(x + 3) / 6, in 16-bit fixed point. The output may be the input's buffer. */
void kn_hard_swish(const kn_hard_swish_params *params, int32_t count, const int8_t *input, int8_t *output);

/* The same for int16 (wide_elementwise.c); zero points are 0. */
void kn_leaky_relu_16(const kn_leaky_relu_params *params, int32_t count, const int16_t *input, int16_t *output);

/* QUANTIZE between integer types (wide_elementwise.c): an item of the input has input_bytes (1, 2 or 4), one of the
 * output output_bytes. Zero points of types of more than one byte are 0; the activation range is the output type's. */
void kn_requantize_items(const kn_rescale_params *params, int32_t input_bytes, int32_t output_bytes, int32_t count,
                         const void *input, void *output);

/* LOGISTIC, TANH, any function of one int8 value: table[value + 128]. The output may be the input's buffer. */
void kn_lookup(const int8_t table[256], int32_t count, const int8_t *input, int8_t *output);

/* ---- softmax.c ----------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t rows, depth;       /* depth 1..4095: 12 bits for the sum of the exponentials */
    int32_t multiplier, shift; /* beta * input scale * 2^26; shift 0..31 */
    int32_t difference_min;    /* values this far below the maximum count as zero; <= 0 */
} kn_softmax_params;

/* SOFTMAX along the last dimension; the output has scale 1/256 and zero point -128. */
void kn_softmax(const kn_softmax_params *params, const int8_t *input, int8_t *output);

/* The same to int16 (softmax_8_16.c): the output has scale 1/65536 and zero point -32768. */
void kn_softmax_8_16(const kn_softmax_params *params, const int8_t *input, int16_t *output);

/* ---- shape.c ------------------------------------------------------------------------------------------------- */

/* CONCATENATION of `inputs` tensors: input i is outer rows of inner_sizes[i] elements. tables may be NULL (the inputs
 * share the output's scale), or hold for each input NULL or a table as for kn_lookup (uint8 models may differ). */
void kn_concatenation(int32_t outer, int32_t inputs, const int32_t *inner_sizes, const int8_t *const *input,
                      const int8_t *const *tables, int8_t *output);

typedef struct {
    int32_t rank; /* 1..KN_MAX_RANK */
    int32_t input_dims[KN_MAX_RANK];
    int32_t before[KN_MAX_RANK]; /* >= 0 */
    int32_t after[KN_MAX_RANK];  /* >= 0 */
    int32_t value;               /* -128..127: the output's zero point, or PADV2's constant */
} kn_pad_params;

/* PAD and PADV2. */
void kn_pad(const kn_pad_params *params, const int8_t *input, int8_t *output);

/* RESHAPE, SQUEEZE, EXPAND_DIMS: a copy of count elements. The output may be the input's buffer or overlap it. */
void kn_reshape(int32_t count, const int8_t *input, int8_t *output);

/* Walks a tensor in another order: TRANSPOSE, STRIDED_SLICE, SPLIT, SLICE. Output element [i0, i1, ...] is
 * input[start + i0 * strides[0] + i1 * strides[1] + ...]; strides in elements, negative ones allowed. */
typedef struct {
    int32_t rank;              /* 1..KN_MAX_RANK */
    int32_t dims[KN_MAX_RANK]; /* of the output */
    int32_t strides[KN_MAX_RANK];
    int32_t start;
} kn_view;

void kn_gather(const kn_view *view, const int8_t *input, int8_t *output);

/* ---- resize.c ------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t batches;
    int32_t input_height, input_width;
    int32_t output_height, output_width;
    int32_t channels;
} kn_resize_shape;

/* RESIZE_NEAREST_NEIGHBOR: output row y is input row rows[y], output column x is input column columns[x]. Which row and
 * column that is takes floating point, and is worked out on the host (docs/internals/kernels.md). */
void kn_resize_nearest(const kn_resize_shape *shape, const int32_t *rows, const int32_t *columns, const int8_t *input,
                       int8_t *output);

/* ---- quantize.c ---------------------------------------------------------------------------------------------- */

/* QUANTIZE from float32: round(value / scale) half away from zero, plus the zero point, saturated. NaN gives -128. */
void kn_quantize(float scale, int32_t zero_point, int32_t count, const float *input, int8_t *output);

/* DEQUANTIZE to float32: scale * (value - zero_point). */
void kn_dequantize(float scale, int32_t zero_point, int32_t count, const int8_t *input, float *output);

/* Turns a uint8 buffer into the int8 buffer of the same meaning and back. The output may be the input's buffer. */
void kn_flip_sign(int32_t count, const uint8_t *input, uint8_t *output);

#include "kernels_16.h"
#include "kernels_rare.h"
#include "kernels_more.h"
#include "kernels_float.h"

#endif
