/* Kernels that use what a core has beyond the portable C of devices/kernels/: same arguments, same outputs to the bit.
 *
 * Chosen at build time: __ARM_FEATURE_MVE (fast_mve*.c), else __ARM_FEATURE_DSP (fast_dsp*.c), else none. Each
 * function returns 1, or 0 where it does not take this shape or these parameters (or has too little scratch):
 * nothing has been written then, and the caller uses the portable kernel. `folded[c]` is bias[c] (0 without one) +
 * input_offset * (sum of the stored weights of output channel c, without weights_offset), modulo 2^32. `scratch` is
 * a multiple of 4; nothing is kept in it between calls. */
#ifndef CORTEX_M_FAST_H
#define CORTEX_M_FAST_H

#include "kernels.h"

/* 1 portable, 2 DSP, 3 MVE: which set this build has. */
uint32_t fast_kernels(void);

/* Bytes of scratch that the function wants for this shape in this build; 0: none. */
uint32_t fast_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape);
uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape);

int fast_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                 const int8_t *input, const int8_t *weights, const int32_t *folded, int8_t *scratch,
                 uint32_t scratch_bytes, int8_t *output);
int fast_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                           const int8_t *input, const int8_t *weights, const int32_t *bias, const int32_t *folded,
                           int8_t *scratch, uint32_t scratch_bytes, int8_t *output);
int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output);

/* ADD for a sign of 1, SUB for -1. The output may be the buffer of an input that is not repeated. */
int fast_add(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int8_t *input1,
             const int8_t *input2, int8_t *output);

#endif
