/* SVDF whose memory and time weights have 8 bits. */
#include "kernels.h"

/* As in svdf.c; the memory is stored with a zero point, which the newest value may wrap around, as the reference's. */
static uint32_t step(const kn_svdf_params *p, int32_t zero_point, const int8_t *input, const int8_t *feature,
                     const int8_t *time, int8_t *memory)
{
    uint32_t product = 0, sum = 0;
    for (int32_t i = 0; i < p->inputs; ++i)
        product += (uint32_t)(feature[i] * (input[i] + p->input_offset));
    const int32_t newest =
        kn_clamp(kn_requantize((int32_t)product, p->multiplier1, p->shift1, KN_ROUND_DOUBLE), INT8_MIN, INT8_MAX);
    for (int32_t i = 0; i < p->memory; ++i) {
        memory[i] = i + 1 < p->memory ? memory[i + 1] : (int8_t)(newest + zero_point);
        sum += (uint32_t)((memory[i] - zero_point) * time[i]);
    }
    return sum;
}

void kn_svdf_8(const kn_svdf_params *params, int32_t state_zero_point, const int8_t *input,
               const int8_t *feature_weights, const int8_t *time_weights, const int32_t *bias, int8_t *state,
               int8_t *output)
{
    const int32_t units = params->filters / params->rank;
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs) {
        const int8_t *feature = feature_weights, *time = time_weights;
        for (int32_t unit = 0; unit < units; ++unit) {
            uint32_t sum = bias ? (uint32_t)bias[unit] : 0;
            for (int32_t left = params->rank; left > 0; --left) {
                sum += step(params, state_zero_point, input, feature, time, state);
                feature += params->inputs;
                time += params->memory;
                state += params->memory;
            }
            *output++ = kn_requantize_to_int8((int32_t)sum, params->multiplier2, params->shift2, KN_ROUND_DOUBLE,
                                              params->output_offset, INT8_MIN, INT8_MAX);
        }
    }
}
