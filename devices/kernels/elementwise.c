/* ADD, SUB, MUL, MAXIMUM, MINIMUM: two inputs of shapes that fit together, one output. */
#include "kernels.h"
#include "walk.h"

/* Positions in both inputs at the start of an output row (the row runs along the last dimension). */
typedef struct {
    int32_t index1[KN_MAX_RANK];
    int32_t index2[KN_MAX_RANK];
    int32_t offset1, offset2;
} rows;

static const rows first_row = {{0}, {0}, 0, 0};

static int next_row(const kn_broadcast *broadcast, rows *at)
{
    const int32_t outer = broadcast->rank - 1;
    kn_walk_next(outer, broadcast->dims, broadcast->strides1, at->index1, &at->offset1);
    return kn_walk_next(outer, broadcast->dims, broadcast->strides2, at->index2, &at->offset2);
}

/* The common body of the five kernels: RESULT is an expression in value1 and value2. */
#define FOR_EACH_PAIR(RESULT)                                                                                          \
    do {                                                                                                               \
        const int32_t last = broadcast->rank - 1;                                                                      \
        const int32_t length = broadcast->dims[last];                                                                  \
        const int32_t step1 = broadcast->strides1[last];                                                               \
        const int32_t step2 = broadcast->strides2[last];                                                               \
        rows at = first_row;                                                                                           \
        do {                                                                                                           \
            const int8_t *next1 = input1 + at.offset1;                                                                 \
            const int8_t *next2 = input2 + at.offset2;                                                                 \
            for (int32_t i = 0; i < length; ++i) {                                                                     \
                const int32_t value1 = next1[i * step1];                                                               \
                const int32_t value2 = next2[i * step2];                                                               \
                *output++ = (int8_t)(RESULT);                                                                          \
            }                                                                                                          \
        } while (next_row(broadcast, &at));                                                                            \
    } while (0)

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
    FOR_EACH_PAIR(add_one(params, value1, value2, sign));
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
    FOR_EACH_PAIR(mul_one(params, value1, value2));
}

static void pick(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output, int larger)
{
    FOR_EACH_PAIR((value1 > value2) == larger ? value1 : value2);
}

void kn_maximum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    pick(broadcast, input1, input2, output, 1);
}

void kn_minimum(const kn_broadcast *broadcast, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    pick(broadcast, input1, input2, output, 0);
}
