/* Kernels of 16-bit activations but for those with weights (kernels.h, whose conventions hold here). Zero points are 0.
 * Included by kernels.h. */
#ifndef KERNELS_KERNELS_16_H
#define KERNELS_KERNELS_16_H

#include "kernels.h"
#include "kernels_more.h"

/* ---- pool_16.c, mean_16.c ------------------------------------------------------------------------------------- */

/* MAX_POOL_2D and AVERAGE_POOL_2D; `is_uint8` is 0, activation ranges are those of int16. */
void kn_max_pool_2d_16(const kn_pool_params *params, const int16_t *input, int16_t *output);
void kn_average_pool_2d_16(const kn_pool_params *params, const int16_t *input, int16_t *output);

/* MEAN over any set of dimensions. */
void kn_mean_16(const kn_mean_params *params, const int16_t *input, int16_t *output);

/* ---- quantize_16.c -------------------------------------------------------------------------------------------- */

/* QUANTIZE from float32, as kn_quantize (NaN gives -32768), and DEQUANTIZE to float32. */
void kn_quantize_16(float scale, int32_t count, const float *input, int16_t *output);
void kn_dequantize_16(float scale, int32_t count, const int16_t *input, float *output);

/* ---- pairs_16.c ----------------------------------------------------------------------------------------------- */

/* MUL, MAXIMUM and MINIMUM. The output may be the buffer of an input that is not repeated. */
void kn_mul_16(const kn_mul_params *params, const kn_broadcast *broadcast, const int16_t *input1, const int16_t *input2,
               int16_t *output);
void kn_pick_16(const kn_broadcast *broadcast, int32_t larger, const int16_t *input1, const int16_t *input2,
                int16_t *output);

/* Comparisons of the stored values: the inputs share their scale. holds: 1 for less, plus 2 for equal, plus 4 for
 * greater. Output: bytes of 0 and 1. */
void kn_compare_16(const kn_broadcast *broadcast, int32_t holds, const int16_t *input1, const int16_t *input2,
                   uint8_t *output);

/* PRELU, as kn_prelu; offsets are 0, and alpha less its zero point has 9 bits for a product that does not wrap. */
void kn_prelu_16(const kn_prelu_params *params, const kn_broadcast *broadcast, const int16_t *input1,
                 const int16_t *input2, int16_t *output);

/* ---- matmul.c, bilinear.c, sqrt_16.c -------------------------------------------------------------------------- */

/* BATCH_MATMUL, as kn_batch_matmul; offsets are 0, sums have 64 bits and shifts are those of kn_requantize_wide. */
void kn_batch_matmul_16(const kn_matmul_params *params, const kn_broadcast *batches, const int16_t *input1,
                        const int16_t *input2, int16_t *output);

/* RESIZE_BILINEAR, as kn_resize_bilinear. */
void kn_resize_bilinear_16(const kn_resize_shape *shape, const int32_t *rows, const int32_t *row_parts,
                           const int32_t *columns, const int32_t *column_parts, const int16_t *input, int16_t *output);

/* SQRT; below 0 it is 0. Scales are float32 numbers, mantissa * 2^exponent with mantissas in 2^23..2^24 - 1 and
 * exponents in -149..104. The output may be the input's buffer. */
typedef struct {
    int32_t input_mantissa, input_exponent;
    int32_t output_mantissa, output_exponent;
} kn_sqrt_params;

void kn_sqrt_16(const kn_sqrt_params *params, int32_t count, const int16_t *input, int16_t *output);

/* ---- tables_16.c ---------------------------------------------------------------------------------------------- */

enum { KN_TABLE_16 = 513, KN_SIGMOID_TABLE = 256 };

/* Any function by 513 values, one for every 128 steps of the input, and straight lines between them. The output may be
 * the input's buffer. */
void kn_lookup_16(const int16_t table[KN_TABLE_16], int32_t count, const int16_t *input, int16_t *output);

/* LOGISTIC and TANH: the input is brought to steps of 1 / (3 * 4096) by `multiplier` (0..65535) and `right_shift`
 * (0..31), and looked up in `table`, sigmoid(i / 24) in steps of 2^-16. The output may be the input's buffer. */
typedef struct {
    int32_t multiplier, right_shift;
    int32_t tanh; /* 0: LOGISTIC, 1: TANH */
} kn_sigmoid_params;

void kn_sigmoid_16(const kn_sigmoid_params *params, const uint16_t table[KN_SIGMOID_TABLE], int32_t count,
                   const int16_t *input, int16_t *output);

/* The functions themselves, of x / (3 * 4096), in steps of 2^-15. |x| < 2^27. */
int16_t kn_logistic_16(const uint16_t *table, int32_t x);
int16_t kn_tanh_16(const uint16_t *table, int32_t x);

/* SOFTMAX of rows x depth, output scale 2^-15. The tables have KN_TABLE_16 values: exp(x) for x in [-10, 0], and
 * 1 / (1 + x) for x in [0, 1]. The multiplier brings a difference of inputs to steps of 10 / 65535. */
typedef struct {
    int32_t rows, depth; /* depth 1..32767 */
    int32_t multiplier, shift;
} kn_softmax_16_params;

void kn_softmax_16(const kn_softmax_16_params *params, const int16_t *exp_table, const int16_t *reciprocal_table,
                   const int16_t *input, int16_t *output);

/* ---- lstm_16.c ------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t batches, steps, inputs, units;
    int32_t time_major;                      /* as in kn_lstm_params */
    int32_t hidden_multiplier, hidden_shift; /* 2^-30 / hidden scale */
    int32_t cell_integer_bits;               /* 0..6: the cell state's scale is 2^(bits - 15) */
    int32_t cell_clip;                       /* largest magnitude of a cell state; 0 for no limit */
} kn_lstm_16_params;

/* UNIDIRECTIONAL_SEQUENCE_LSTM of 16-bit activations, as kn_lstm with 4 gates; biases are int64 (two words each, the
 * lower first), shifts those of kn_requantize_wide, `table` is that of kn_sigmoid_16. */
void kn_lstm_16(const kn_lstm_16_params *params, const kn_lstm_weights *weights, const uint16_t table[KN_SIGMOID_TABLE],
                const int16_t *input, int16_t *state, int16_t *output);

#endif
