/* Arithmetic of int32 tensors: what is computed of indices. */
#include "kernels.h"
#include "pairs.h"

static int32_t divide(int32_t operation, int32_t value, int32_t divisor, int32_t *by_zero)
{
    if (divisor == 0) {
        *by_zero = 1;
        return 0;
    }
    if (divisor == -1) /* INT32_MIN has no quotient here: it wraps */
        return operation == KN_INTEGER_FLOOR_MOD ? 0 : (int32_t)(0u - (uint32_t)value);
    const int32_t quotient = value / divisor, rest = value - quotient * divisor;
    const int32_t down = rest != 0 && (rest < 0) != (divisor < 0);
    if (operation == KN_INTEGER_FLOOR_MOD)
        return down ? rest + divisor : rest;
    return operation == KN_INTEGER_FLOOR_DIV ? quotient - down : quotient;
}

static int32_t compute(const kn_integers_params *p, int32_t one, int32_t two, int32_t *by_zero)
{
    int32_t result;
    switch (p->operation) {
    case KN_INTEGER_ADD:
        result = kn_wrap_add(one, two);
        break;
    case KN_INTEGER_SUB:
        result = (int32_t)((uint32_t)one - (uint32_t)two);
        break;
    case KN_INTEGER_MUL:
        result = (int32_t)((uint32_t)one * (uint32_t)two);
        break;
    case KN_INTEGER_MAXIMUM:
        result = one > two ? one : two;
        break;
    case KN_INTEGER_MINIMUM:
        result = one < two ? one : two;
        break;
    default:
        result = divide(p->operation, one, two, by_zero);
        break;
    }
    return kn_clamp(result, p->low, p->high);
}

int32_t kn_integers(const kn_integers_params *params, const kn_broadcast *broadcast, const int32_t *input1,
                    const int32_t *input2, int32_t *output)
{
    int32_t by_zero = 0;
    KN_FOR_EACH_PAIR(int32_t, int32_t, compute(params, value1, value2, &by_zero));
    return by_zero;
}
