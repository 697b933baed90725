/* SQUARED_DIFFERENCE of 8-bit and of 16-bit activations. */
#include "kernels.h"
#include "pairs.h"

static int32_t squared(const kn_squared_params *p, int32_t value1, int32_t value2)
{
    const int32_t bits = p->item_bytes == 1 ? 7 : 0; /* so that the square has 31 */
    const int32_t one = kn_requantize(kn_wrap_shift_left(value1 + p->input1_offset, bits), p->input1_multiplier,
                                      p->input1_shift, KN_ROUND_DOUBLE);
    const int32_t two = kn_requantize(kn_wrap_shift_left(value2 + p->input2_offset, bits), p->input2_multiplier,
                                      p->input2_shift, KN_ROUND_DOUBLE);
    const uint32_t apart = (uint32_t)one - (uint32_t)two;
    return kn_wrap_add(kn_requantize((int32_t)(apart * apart), p->output_multiplier, p->output_shift, KN_ROUND_DOUBLE),
                       p->output_offset);
}

void kn_squared_difference(const kn_squared_params *params, const kn_broadcast *broadcast, const void *inputs1,
                           const void *inputs2, void *outputs)
{
    if (params->item_bytes == 1) {
        const int8_t *const input1 = inputs1, *const input2 = inputs2;
        int8_t *output = outputs;
        KN_FOR_EACH_PAIR(int8_t, int8_t, kn_clamp(squared(params, value1, value2), INT8_MIN, INT8_MAX));
    } else {
        const int16_t *const input1 = inputs1, *const input2 = inputs2;
        int16_t *output = outputs;
        KN_FOR_EACH_PAIR(int16_t, int16_t, kn_clamp(squared(params, value1, value2), INT16_MIN, INT16_MAX));
    }
}
