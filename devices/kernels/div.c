/* DIV of 8-bit values: times a reciprocal in fixed point. */
#include "kernels.h"
#include "pairs.h"
#include "reciprocal.h"

/* Redundant sign bits of an int32. */
static int32_t headroom_of(int32_t value)
{
    return leading_zeros(value < 0 ? ~(uint32_t)value : (uint32_t)value) - 1;
}

static int32_t divide(const kn_mul_params *p, int32_t value1, int32_t value2, int32_t *by_zero)
{
    int32_t one = value1 + p->input1_offset, two = value2 + p->input2_offset;
    if (two == 0) {
        *by_zero = 1;
        return p->activation_min;
    }
    if (two < 0) {
        one = -one;
        two = -two;
    }
    const int32_t zeros = leading_zeros((uint32_t)two), headroom = headroom_of(one);
    const int32_t inverse = reciprocal_of_one_plus((int32_t)(((uint32_t)two << zeros) - 0x80000000u));
    const int32_t quotient = kn_doubling_high_multiply(kn_wrap_shift_left(one, headroom), inverse);
    const int32_t scaled = kn_doubling_high_multiply(quotient, p->multiplier);
    /* The reference has neither shifts to the left nor shifts of more than 31. */
    const int32_t shift = p->shift - (31 - zeros) - headroom;
    const int32_t result = shift > 0     ? kn_saturating_shift_left(scaled, shift)
                           : shift < -31 ? 0
                                         : kn_divide_by_power_of_two(scaled, -shift);
    return kn_clamp(kn_wrap_add(result, p->output_offset), p->activation_min, p->activation_max);
}

int32_t kn_div(const kn_mul_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
               int8_t *output)
{
    int32_t by_zero = 0;
    KN_FOR_EACH_PAIR(int8_t, int8_t, divide(params, value1, value2, &by_zero));
    return by_zero;
}
