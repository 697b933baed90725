/* FULLY_CONNECTED. */
#include "kernels.h"
#include "taps.h"

void kn_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                        const int8_t *weights, const int32_t *bias, int8_t *output)
{
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs) {
        const int8_t *row = weights;
        for (int32_t unit = 0; unit < params->outputs; ++unit, row += params->inputs) {
            uint32_t sum = bias ? (uint32_t)bias[unit] : 0u;
            sum += kn_dot(input, row, params->inputs, params->input_offset, params->weights_offset);
            *output++ = kn_finish_sum(scales, unit, sum, params->rounding, params->output_offset,
                                      params->activation_min, params->activation_max);
        }
    }
}
