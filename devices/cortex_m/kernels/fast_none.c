/* The kernel set of a core without DSP extension or MVE: none. The runtime takes the portable kernels. */
#include "fast.h"

#if !defined(__ARM_FEATURE_MVE) && !defined(__ARM_FEATURE_DSP)

uint32_t fast_kernels(void)
{
    return 1;
}

uint32_t fast_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    (void)params;
    (void)shape;
    return 0;
}

uint32_t fast_depthwise_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    (void)params;
    (void)shape;
    return 0;
}

int fast_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                 const int8_t *input, const int8_t *weights, const int32_t *folded, int8_t *scratch,
                 uint32_t scratch_bytes, int8_t *output)
{
    (void)params;
    (void)shape;
    (void)scales;
    (void)input;
    (void)weights;
    (void)folded;
    (void)scratch;
    (void)scratch_bytes;
    (void)output;
    return 0;
}

int fast_depthwise_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                           const int8_t *input, const int8_t *weights, const int32_t *bias, const int32_t *folded,
                           int8_t *scratch, uint32_t scratch_bytes, int8_t *output)
{
    (void)bias;
    return fast_conv_2d(params, shape, scales, input, weights, folded, scratch, scratch_bytes, output);
}

int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output)
{
    (void)params;
    (void)scales;
    (void)input;
    (void)weights;
    (void)folded;
    (void)output;
    return 0;
}

int fast_add(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int8_t *input1,
             const int8_t *input2, int8_t *output)
{
    (void)params;
    (void)broadcast;
    (void)sign;
    (void)input1;
    (void)input2;
    (void)output;
    return 0;
}

#endif
