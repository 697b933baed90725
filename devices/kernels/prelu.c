/* PRELU: LEAKY_RELU with an alpha for each element. */
#include "kernels.h"
#include "pairs.h"

static int32_t prelu_one(const kn_prelu_params *p, int32_t value, int32_t alpha)
{
    const int32_t input = value + p->input_offset;
    const int32_t scaled = input >= 0 ? kn_requantize(input, p->multiplier, p->shift, KN_ROUND_DOUBLE)
                                      : kn_requantize(input * (alpha + p->alpha_offset), p->alpha_multiplier,
                                                      p->alpha_shift, KN_ROUND_DOUBLE);
    return kn_clamp(kn_wrap_add(scaled, p->output_offset), INT8_MIN, INT8_MAX);
}

void kn_prelu(const kn_prelu_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
              int8_t *output)
{
    KN_FOR_EACH_PAIR(int8_t, int8_t, prelu_one(params, value1, value2));
}
