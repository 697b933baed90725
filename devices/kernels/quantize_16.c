/* Between float32 and int16: as quantize.c, these touch floating point and are linked only where a model needs them. */
#include "kernels.h"
#include "round_away.h"

void kn_quantize_16(float scale, int32_t count, const float *input, int16_t *output)
{
    /* Beyond this the result is saturated, and the conversion to integer stays defined. */
    const float limit = 65536.0f;
    for (int32_t i = 0; i < count; ++i) {
        const float scaled = input[i] / scale;
        int32_t value = INT16_MIN; /* far below, or not a number */
        if (scaled >= limit)
            value = INT16_MAX;
        else if (scaled > -limit)
            value = kn_clamp(kn_round_away(scaled), INT16_MIN, INT16_MAX);
        output[i] = (int16_t)value;
    }
}

void kn_dequantize_16(float scale, int32_t count, const int16_t *input, float *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = scale * (float)input[i];
}
