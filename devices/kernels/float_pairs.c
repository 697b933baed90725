/* Float32 ops on two inputs that fit together. */
#include "kernels.h"
#include "float_math.h"
#include "pairs.h"

#if KN_FLOATS

static __attribute__((noinline)) float paired(int32_t pairing, float one, float two)
{
    const float difference = one - two;
    switch (pairing) {
    case KN_ADD:
        return one + two;
    case KN_SUB:
        return difference;
    case KN_MUL:
        return one * two;
    case KN_DIV:
        return one / two;
    case KN_MAXIMUM:
        return one > two ? one : two;
    case KN_MINIMUM:
        return one < two ? one : two;
    case KN_SQUARED_DIFFERENCE:
        return difference * difference;
    default: /* KN_PRELU */
        return one >= 0.0f ? one : one * two;
    }
}

static __attribute__((noinline)) int compared(int32_t comparison, float one, float two)
{
    switch (comparison) {
    case KN_EQUAL:
        return one == two;
    case KN_NOT_EQUAL:
        return one != two;
    case KN_GREATER:
        return one > two;
    case KN_GREATER_EQUAL:
        return one >= two;
    case KN_LESS:
        return one < two;
    default: /* KN_LESS_EQUAL */
        return one <= two;
    }
}

/* One walk for both, in one copy: `floats` is NULL for a comparison, `bytes` else. */
static __attribute__((noinline)) void walk(const kn_broadcast *b, int32_t which, float low, float high,
                                           const float *input1, const float *input2, float *floats, uint8_t *bytes)
{
    const int32_t last = b->rank - 1, step1 = b->strides1[last], step2 = b->strides2[last];
    kn_rows at = kn_first_row;
    do {
        const float *one = input1 + at.offset1, *two = input2 + at.offset2;
        for (int32_t left = b->dims[last]; left > 0; --left, one += step1, two += step2) {
            if (bytes)
                *bytes++ = (uint8_t)compared(which, *one, *two);
            else
                *floats++ = kn_float_clamp(paired(which, *one, *two), low, high);
        }
    } while (kn_next_row(b, &at));
}

void kn_float_pair(const kn_float_pair_params *params, const kn_broadcast *broadcast, const float *input1,
                   const float *input2, float *output)
{
    walk(broadcast, params->pairing, params->low, params->high, input1, input2, output, 0);
}

void kn_float_compare(int32_t comparison, const kn_broadcast *broadcast, const float *input1, const float *input2,
                      uint8_t *output)
{
    walk(broadcast, comparison, 0.0f, 0.0f, input1, input2, 0, output);
}

#endif
