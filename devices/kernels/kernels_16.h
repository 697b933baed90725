/* Kernels of 16-bit activations but for those with weights (kernels.h, whose conventions hold here). Zero points are 0.
 * Included by kernels.h. */
#ifndef KERNELS_KERNELS_16_H
#define KERNELS_KERNELS_16_H

#include "kernels.h"

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

/* SOFTMAX of rows x depth, output scale 2^-15. The tables have KN_TABLE_16 values: exp(x) for x in [-10, 0], and
 * 1 / (1 + x) for x in [0, 1]. The multiplier brings a difference of inputs to steps of 10 / 65535. */
typedef struct {
    int32_t rows, depth; /* depth 1..32767 */
    int32_t multiplier, shift;
} kn_softmax_16_params;

void kn_softmax_16(const kn_softmax_16_params *params, const int16_t *exp_table, const int16_t *reciprocal_table,
                   const int16_t *input, int16_t *output);

#endif
