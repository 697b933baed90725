/* CAST between any two types. */
#include "kernels.h"

static int64_t read_integer(int32_t from, const void *input, int32_t i)
{
    const uint32_t *const words = (const uint32_t *)input + 2 * i;
    switch (from) {
    case KN_INT8:
        return ((const int8_t *)input)[i];
    case KN_UINT8:
        return ((const uint8_t *)input)[i] ^ 0x80;
    case KN_INT16:
        return ((const int16_t *)input)[i];
    case KN_INT32:
        return ((const int32_t *)input)[i];
    case KN_INT64:
        return (int64_t)((uint64_t)words[1] << 32 | words[0]);
    default: /* KN_BOOL */
        return ((const uint8_t *)input)[i] != 0;
    }
}

/* Bits of the largest value of an integer type. */
static int32_t value_bits(int32_t to)
{
    return to == KN_INT8 ? 7 : to == KN_UINT8 ? 8 : to == KN_INT16 ? 15 : to == KN_INT32 ? 31 : 63;
}

/* Floats are taken apart and put together here: cores without a floating-point unit would link a library for it. */
static int64_t from_float(uint32_t bits, int32_t to)
{
    const int32_t most = value_bits(to), exponent = (int32_t)(bits >> 23 & 0xFFu) - 127;
    const uint64_t limit = (uint64_t)1 << most, fraction = (bits & 0x7FFFFFu) | 0x800000u;
    uint64_t size = limit;
    if (to == KN_BOOL)
        return bits << 1 != 0;
    if (exponent < 0 || bits << 1 > 0xFF000000u) /* below 1, or NaN */
        return 0;
    if (exponent < most)
        size = exponent > 23 ? fraction << (exponent - 23) : fraction >> (23 - exponent);
    if (bits >> 31)
        return to == KN_UINT8 ? 0 : (int64_t)(0u - size);
    return (int64_t)(size < limit ? size : limit - 1u);
}

/* To nearest, ties to even. */
static uint32_t to_float(int64_t value)
{
    const uint64_t half = (uint64_t)1 << 39;
    uint64_t size = value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
    uint32_t exponent = 127 + 63;
    if (size == 0)
        return 0;
    for (; !(size >> 63); size <<= 1)
        --exponent;
    const uint64_t rest = size & (2u * half - 1u);
    const uint32_t top = (uint32_t)(size >> 40);
    const uint32_t up = rest > half || (rest == half && (top & 1u)) ? 1u : 0u;
    /* The top bit of `top` is the 1 that floats leave out; rounding up may carry into the exponent, as it must. */
    return (value < 0 ? 0x80000000u : 0u) + (exponent << 23) + top - 0x800000u + up;
}

static void write_integer(int32_t to, void *output, int32_t i, int64_t value)
{
    uint32_t *const words = (uint32_t *)output + 2 * i;
    switch (to) {
    case KN_INT8:
        ((int8_t *)output)[i] = (int8_t)value;
        break;
    case KN_UINT8:
        ((uint8_t *)output)[i] = (uint8_t)((uint8_t)value ^ 0x80u);
        break;
    case KN_INT16:
        ((int16_t *)output)[i] = (int16_t)value;
        break;
    case KN_INT32:
        ((int32_t *)output)[i] = (int32_t)value;
        break;
    case KN_INT64:
        words[0] = (uint32_t)value;
        words[1] = (uint32_t)((uint64_t)value >> 32);
        break;
    default: /* KN_BOOL */
        ((uint8_t *)output)[i] = value != 0;
        break;
    }
}

void kn_cast(int32_t from, int32_t to, int32_t count, const void *input, void *output)
{
    const uint32_t *const floats = input;
    for (int32_t i = 0; i < count; ++i) {
        if (from == to && to == KN_FLOAT32) {
            ((uint32_t *)output)[i] = floats[i];
            continue;
        }
        const int64_t value = from == KN_FLOAT32 ? from_float(floats[i], to) : read_integer(from, input, i);
        if (to == KN_FLOAT32)
            ((uint32_t *)output)[i] = to_float(value);
        else
            write_integer(to, output, i, value);
    }
}
