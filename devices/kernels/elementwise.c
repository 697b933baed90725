/* ADD, SUB, MUL, MAXIMUM, MINIMUM: two inputs of shapes that fit together, one output. */
#include "kernels.h"
#include "pairs.h"

/* Both inputs are brought to twice the larger input scale, with left_shift spare bits, and added there. */
static inline int8_t add_one(const kn_add_params *p, int32_t value1, int32_t value2, int32_t sign)
{
    const int32_t wide1 = kn_wrap_shift_left(value1 + p->input1_offset, p->left_shift);
    const int32_t wide2 = kn_wrap_shift_left(value2 + p->input2_offset, p->left_shift);
    const int32_t scaled1 = kn_requantize(wide1, p->input1_multiplier, p->input1_shift, p->rounding);
    const int32_t scaled2 = kn_requantize(wide2, p->input2_multiplier, p->input2_shift, p->rounding);
    const int32_t sum = (int32_t)((uint32_t)scaled1 + (uint32_t)sign * (uint32_t)scaled2);
    return kn_requantize_to_int8(sum, p->output_multiplier, p->output_shift, p->rounding, p->output_offset,
                                 p->activation_min, p->activation_max);
}

static inline int8_t mul_one(const kn_mul_params *p, int32_t value1, int32_t value2)
{
    const int32_t product = (value1 + p->input1_offset) * (value2 + p->input2_offset);
    return kn_requantize_to_int8(product, p->multiplier, p->shift, p->rounding, p->output_offset, p->activation_min,
                                 p->activation_max);
}

static void add_or_sub(const kn_add_params *params, const kn_broadcast *broadcast, const int8_t *input1,
                       const int8_t *input2, int8_t *output, int32_t sign)
{
    KN_FOR_EACH_PAIR(int8_t, int8_t, add_one(params, value1, value2, sign));
}

void kn_add(const kn_add_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output)
{
    add_or_sub(params, broadcast, input1, input2, output, 1);
}

void kn_sub(const kn_add_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output)
{
    add_or_sub(params, broadcast, input1, input2, output, -1);
}

void kn_mul(const kn_mul_params *params, const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2,
            int8_t *output)
{
    KN_FOR_EACH_PAIR(int8_t, int8_t, mul_one(params, value1, value2));
}

static void pick(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output, int larger)
{
    KN_FOR_EACH_PAIR(int8_t, int8_t, (value1 > value2) == larger ? value1 : value2);
}

void kn_maximum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    pick(broadcast, input1, input2, output, 1);
}

void kn_minimum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    pick(broadcast, input1, input2, output, 0);
}
