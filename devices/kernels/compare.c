/* Comparisons of two inputs, and SELECT between two by a third. */
#include "kernels.h"
#include "pairs.h"

enum { LEFT_SHIFT = 8 };

static int32_t scaled(int32_t value, int32_t offset, int32_t multiplier, int32_t shift)
{
    return kn_requantize(kn_wrap_shift_left(value + offset, LEFT_SHIFT), multiplier, shift, KN_ROUND_DOUBLE);
}

static int holds(const kn_compare_params *p, int32_t value1, int32_t value2)
{
    const int32_t one = scaled(value1, p->input1_offset, p->input1_multiplier, p->input1_shift);
    const int32_t two = scaled(value2, p->input2_offset, p->input2_multiplier, p->input2_shift);
    switch (p->comparison) {
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
    default:
        return one <= two;
    }
}

void kn_compare(const kn_compare_params *params, const kn_broadcast *broadcast, const int8_t *input1,
                const int8_t *input2, uint8_t *output)
{
    KN_FOR_EACH_PAIR(int8_t, uint8_t, holds(params, value1, value2));
}

void kn_select(const kn_choice *choice, const uint8_t *condition, const int8_t *input1, const int8_t *input2,
               int8_t *output)
{
    const int32_t rank = choice->rank;
    int32_t index0[KN_MAX_RANK] = {0}, index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0};
    int32_t at0 = 0, at1 = 0, at2 = 0;
    do {
        *output++ = condition[at0] ? input1[at1] : input2[at2];
        kn_walk_next(rank, choice->dims, choice->strides1, index1, &at1);
        kn_walk_next(rank, choice->dims, choice->strides2, index2, &at2);
    } while (kn_walk_next(rank, choice->dims, choice->strides0, index0, &at0));
}
