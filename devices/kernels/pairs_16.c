/* MUL, MAXIMUM and MINIMUM of 16-bit activations. */
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
