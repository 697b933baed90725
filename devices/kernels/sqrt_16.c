/* SQRT of 16-bit activations.
 *
 * LiteRT multiplies by the input scale, takes the root and divides by the output scale in single precision, and drops
 * what is behind the point. The same three roundings are made here on mantissas of 24 bits, in integers. */
#include "kernels.h"

/* The upper 24 bits of value / 2^bits, rounded half to even. */
static uint32_t rounded(uint64_t value, int32_t bits)
{
    const uint64_t half = bits > 0 ? (uint64_t)1 << (bits - 1) : 0;
    const uint64_t odd = bits > 0 ? value >> bits & 1u : 0;
    return (uint32_t)((value + half - (half > 0 && !odd)) >> bits);
}

/* The root of 46 to 48 bits, rounded to nearest: a root of 24 bits never lies in the middle. */
static uint32_t root_of(uint64_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 23; bit > 0; bit >>= 1)
        if ((uint64_t)(root | bit) * (root | bit) <= value)
            root |= bit;
    return root + (value - (uint64_t)root * root > root);
}

/* value * 2^bits / divisor, rounded half to even; value < 2 * divisor. */
static uint32_t divided(uint32_t value, uint32_t divisor, int32_t bits)
{
    uint32_t quotient = 0;
    for (int32_t left = bits + 2; left >= 0; --left) { /* two bits more than are kept */
        quotient <<= 1;
        if (value >= divisor) {
            value -= divisor;
            quotient |= 1u;
        }
        value <<= 1;
    }
    return rounded((uint64_t)quotient << 1 | (value > 0), 3); /* and a third for what is left over */
}

static int32_t root_one(const kn_sqrt_params *p, int32_t stored)
{
    if (stored <= 0)
        return 0;
    const uint64_t product = (uint64_t)(uint32_t)stored * (uint32_t)p->input_mantissa;
    int32_t bits = 0;
    while (product >> bits >> 24)
        ++bits;
    const uint32_t real = rounded(product, bits); /* 2^24 is fine too */
    int32_t exponent = p->input_exponent + bits;
    const int32_t up = 23 + ((exponent ^ 23) & 1); /* what is left of the exponent is even */
    const uint32_t root = root_of((uint64_t)real << up);
    exponent = (exponent - up) / 2 - p->output_exponent;
    const int32_t more = root < (uint32_t)p->output_mantissa ? 24 : 23;
    const uint32_t quotient = divided(root, (uint32_t)p->output_mantissa, more);
    exponent -= more;
    if (exponent >= -8)
        return INT16_MAX;
    return exponent < -24 ? 0 : kn_clamp((int32_t)(quotient >> -exponent), 0, INT16_MAX);
}

void kn_sqrt_16(const kn_sqrt_params *params, int32_t count, const int16_t *input, int16_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = (int16_t)root_one(params, input[i]);
}
