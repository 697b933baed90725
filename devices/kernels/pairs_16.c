/* MUL, MAXIMUM, MINIMUM, comparisons and PRELU of 16-bit activations. */
#include "kernels.h"
#include "pairs.h"

void kn_mul_16(const kn_mul_params *params, const kn_broadcast *broadcast, const int16_t *input1, const int16_t *input2,
               int16_t *output)
{
    KN_FOR_EACH_PAIR(int16_t, int16_t,
                     kn_clamp(kn_requantize(value1 * value2, params->multiplier, params->shift, params->rounding),
                              params->activation_min, params->activation_max));
}

void kn_pick_16(const kn_broadcast *broadcast, int32_t larger, const int16_t *input1, const int16_t *input2,
                int16_t *output)
{
    KN_FOR_EACH_PAIR(int16_t, int16_t, (value1 > value2) == larger ? value1 : value2);
}

void kn_compare_16(const kn_broadcast *broadcast, int32_t holds, const int16_t *input1, const int16_t *input2,
                   uint8_t *output)
{
    KN_FOR_EACH_PAIR(int16_t, uint8_t, holds >> (value1 >= value2) >> (value1 > value2) & 1);
}

static int32_t prelu_one(const kn_prelu_params *p, int32_t value, int32_t alpha)
{
    const int32_t scaled = value >= 0
                               ? kn_requantize(value, p->multiplier, p->shift, KN_ROUND_DOUBLE)
                               : kn_requantize(value * alpha, p->alpha_multiplier, p->alpha_shift, KN_ROUND_DOUBLE);
    return kn_clamp(scaled, INT16_MIN, INT16_MAX);
}

void kn_prelu_16(const kn_prelu_params *params, const kn_broadcast *broadcast, const int16_t *input1,
                 const int16_t *input2, int16_t *output)
{
    KN_FOR_EACH_PAIR(int16_t, int16_t, prelu_one(params, value1, value2));
}
