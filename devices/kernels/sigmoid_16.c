/* The functions of LSTM's gates: see sigmoid_16.h. */
#include "sigmoid_16.h"

#include "requantize.h"

/* a * b of two numbers in Q0.15, or of one in Q0.15 and one in any other format. */
static int16_t times(int16_t a, int16_t b)
{
    if (a == INT16_MIN && b == INT16_MIN)
        return INT16_MAX;
    return (int16_t)((a * b + (1 << 14)) >> 15);
}

static int16_t plus(int32_t a, int32_t b)
{
    return (int16_t)(a + b); /* wraps */
}

static int16_t saturated(int32_t value)
{
    return (int16_t)kn_clamp(value, INT16_MIN, INT16_MAX);
}

/* exp(x) in Q0.15 of x in Q0.15, -1/4 <= x < 0: a Taylor polynomial around -1/8. */
static int16_t exp_near_zero(int16_t x)
{
    const int16_t from_middle = plus(x, 1 << 12);
    const int16_t square = times(from_middle, from_middle);
    const int16_t cube = times(square, from_middle);
    const int16_t quarter_of_fourth = (int16_t)kn_divide_by_power_of_two(times(square, square), 2);
    const int16_t third = 10923, exp_of_middle = 28918;
    const int16_t tail =
        (int16_t)kn_divide_by_power_of_two(plus(times(plus(quarter_of_fourth, cube), third), square), 1);
    return saturated(exp_of_middle + times(exp_of_middle, plus(from_middle, tail)));
}

/* exp(x) in Q0.15 of x <= 0 with `integer_bits` 0..7. */
static int16_t exp_of_negative(int16_t x, int32_t integer_bits)
{
    /* exp(-2^k) for k = -2..4 */
    static const int16_t powers[] = {25520, 19875, 12055, 4435, 600, 11, 0};
    if (x == 0)
        return INT16_MAX;
    const int32_t fraction_bits = 15 - integer_bits;
    const int32_t quarter = 1 << (fraction_bits - 2);
    const int32_t part = (x & (quarter - 1)) - quarter; /* -1/4 <= part < 0, and x - part is a multiple of 1/4 */
    int16_t result = exp_near_zero(saturated(part * (1 << integer_bits)));
    const int32_t rest = part - x;
    for (int32_t k = -2; k < integer_bits && k <= 4; ++k)
        if (rest & (1 << (fraction_bits + k)))
            result = times(result, powers[k + 2]);
    if (integer_bits > 5 && x < -(32 << fraction_bits))
        return 0;
    return result;
}

/* 2 / (1 + x) in Q2.13 of x in Q0.15, 0 <= x < 1: Newton's iteration for the inverse of half of 1 + x. */
static int16_t two_over_one_plus(int16_t x)
{
    const int16_t half = (int16_t)((x + INT16_MAX + 1) / 2);
    const int16_t one = 1 << 13, start = 23130, slope = -15420; /* 48 / 17 and -32 / 17 */
    int16_t found = plus(start, times(half, slope));
    for (int step = 0; step < 3; ++step) {
        const int16_t error = plus(one, -times(half, found));
        found = plus(found, saturated(times(found, error) * 4));
    }
    return found;
}

int16_t kn_gate_logistic(int16_t x)
{
    if (x == 0)
        return 1 << 14;
    const int16_t magnitude = x > 0 ? x : plus(0, -x);
    const int16_t found = saturated(two_over_one_plus(exp_of_negative(plus(0, -magnitude), 3)) * 2);
    return x > 0 ? found : plus(INT16_MAX, -found);
}

int16_t kn_gate_tanh(int16_t x, int32_t integer_bits)
{
    if (x == 0)
        return 0;
    /* (1 - exp(-2 |x|)) / (1 + exp(-2 |x|)): twice the number is one integer bit more. */
    const int16_t power = exp_of_negative(x < 0 ? x : plus(0, -x), integer_bits + 1);
    const int16_t found = saturated(plus(two_over_one_plus(power), -(1 << 13)) * 4);
    return x < 0 ? plus(0, -found) : found;
}
