/* Functions of 16-bit activations by tables that the host makes: LOGISTIC, TANH, SOFTMAX, and any other. */
#include "kernels.h"

static int32_t look_up(const int16_t *table, int32_t value)
{
    const int32_t index = 256 + (value >> 7);
    const int32_t slope = table[index + 1] - table[index];
    return (int16_t)(table[index] + ((slope * (value & 0x7F) + 64) >> 7));
}

void kn_lookup_16(const int16_t table[KN_TABLE_16], int32_t count, const int16_t *input, int16_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = (int16_t)look_up(table, input[i]);
}

/* sigmoid(size / 2^step_bits / 24) in steps of 2^-(16 + step_bits); `most` where the table ends. */
static int32_t sigmoid(const uint16_t *table, int32_t size, int32_t step_bits, int32_t most)
{
    const int32_t index = size >> step_bits;
    if (index >= KN_SIGMOID_TABLE - 1)
        return most;
    const int32_t part = size & ((1 << step_bits) - 1);
    return (table[index] << step_bits) + part * (table[index + 1] - table[index]);
}

int16_t kn_logistic_16(const uint16_t *table, int32_t x)
{
    const int32_t found = sigmoid(table, x < 0 ? -x : x, 9, 0x7FFF << 10);
    return (int16_t)((x >= 0 ? found + (1 << 9) : (1 << 25) - found + (1 << 9) - 1) >> 10);
}

/* 2 * sigmoid(2 x) - 1 */
int16_t kn_tanh_16(const uint16_t *table, int32_t x)
{
    const int32_t found = sigmoid(table, x < 0 ? -x : x, 8, 0xFFFF << 8);
    return (int16_t)((x >= 0 ? found - (1 << 23) + (1 << 7) : (1 << 23) - found + (1 << 7) - 1) >> 8);
}

void kn_sigmoid_16(const kn_sigmoid_params *params, const uint16_t table[KN_SIGMOID_TABLE], int32_t count,
                   const int16_t *input, int16_t *output)
{
    const int32_t shift = params->right_shift;
    const int64_t half = shift > 0 ? (int64_t)1 << (shift - 1) : 0;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t x = (int32_t)(((int64_t)input[i] * params->multiplier + half) >> shift);
        output[i] = params->tanh ? kn_tanh_16(table, x) : kn_logistic_16(table, x);
    }
}

/* Of a sum of up to 32767 values of up to 2^15. */
static int32_t leading_zeros(uint32_t value)
{
    int32_t zeros = 0;
    while (zeros < 31 && !(value & 0x80000000u)) {
        value <<= 1;
        ++zeros;
    }
    return zeros;
}

void kn_softmax_16(const kn_softmax_16_params *params, const int16_t *exp_table, const int16_t *reciprocal_table,
                   const int16_t *input, int16_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row, input += params->depth, output += params->depth) {
        int32_t max = INT16_MIN;
        uint32_t sum = 0;
        for (int32_t i = 0; i < params->depth; ++i)
            max = input[i] > max ? input[i] : max;
        for (int32_t i = 0; i < params->depth; ++i) {
            const int32_t scaled = kn_requantize(input[i] - max, params->multiplier, params->shift, KN_ROUND_DOUBLE);
            const int32_t share = look_up(exp_table, kn_clamp(kn_wrap_add(scaled, 32767), INT16_MIN, INT16_MAX));
            output[i] = (int16_t)share;
            sum += (uint32_t)share;
        }
        /* sum = (1 + rest) * 2^(30 - zeros) */
        const int32_t zeros = leading_zeros(sum | 1u);
        const int32_t top = (int32_t)((((uint64_t)sum << zeros >> 1) + (1u << 13)) >> 14);
        const int32_t rest = kn_clamp(top - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX);
        const int32_t reciprocal = look_up(reciprocal_table, rest);
        const int32_t shift = 31 - zeros;
        for (int32_t i = 0; i < params->depth; ++i) {
            const int64_t share = (int64_t)output[i] * reciprocal + (shift > 0 ? (int64_t)1 << (shift - 1) : 0);
            output[i] = (int16_t)kn_clamp((int32_t)(share >> shift), 0, INT16_MAX);
        }
    }
}
