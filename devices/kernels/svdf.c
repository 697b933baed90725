/* SVDF, and FILL, which empties its memory. */
#include <string.h>

#include "kernels.h"

void kn_fill(int32_t count, int32_t value, int8_t *output)
{
    memset(output, (int)(uint8_t)value, (size_t)count);
}

/* Moves a filter's memory by one step and lets the newest value in. Returns the memory times its weights. */
static uint32_t step(const kn_svdf_params *p, const int8_t *input, const int8_t *feature, const int16_t *time,
                     int16_t *memory)
{
    uint32_t product = 0, sum = 0;
    for (int32_t i = 0; i < p->inputs; ++i)
        product += (uint32_t)(feature[i] * (input[i] + p->input_offset));
    const int32_t newest =
        kn_clamp(kn_requantize((int32_t)product, p->multiplier1, p->shift1, KN_ROUND_DOUBLE), INT16_MIN, INT16_MAX);
    for (int32_t i = 0; i < p->memory; ++i) {
        memory[i] = i + 1 < p->memory ? memory[i + 1] : (int16_t)newest;
        sum += (uint32_t)(memory[i] * time[i]);
    }
    return sum;
}

void kn_svdf(const kn_svdf_params *params, const int8_t *input, const int8_t *feature_weights,
             const int16_t *time_weights, const int32_t *bias, int16_t *state, int8_t *output)
{
    const int32_t units = params->filters / params->rank;
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs) {
        const int8_t *feature = feature_weights;
        const int16_t *time = time_weights;
        for (int32_t unit = 0; unit < units; ++unit) {
            uint32_t sum = bias ? (uint32_t)bias[unit] : 0;
            for (int32_t left = params->rank; left > 0; --left) {
                sum += step(params, input, feature, time, state);
                feature += params->inputs;
                time += params->memory;
                state += params->memory;
            }
            *output++ = kn_requantize_to_int8((int32_t)sum, params->multiplier2, params->shift2, KN_ROUND_DOUBLE,
                                              params->output_offset, INT8_MIN, INT8_MAX);
        }
    }
}
