/* Between float32 and int8, and between uint8 and int8. The only kernels that touch floating point: a core without it
 * links them only if its model has a float input or output. */
#include "kernels.h"
#include "round_away.h"

void kn_quantize(float scale, int32_t zero_point, int32_t count, const float *input, int8_t *output)
{
    /* Beyond this the result is saturated whatever the zero point, and the conversion to integer stays defined. */
    const float limit = 1024.0f;
    for (int32_t i = 0; i < count; ++i) {
        const float scaled = input[i] / scale;
        int32_t value;
        if (scaled >= limit)
            value = INT8_MAX;
        else if (scaled > -limit)
            value = kn_clamp(kn_round_away(scaled) + zero_point, INT8_MIN, INT8_MAX);
        else /* far below, or not a number */
            value = INT8_MIN;
        output[i] = (int8_t)value;
    }
}

void kn_dequantize(float scale, int32_t zero_point, int32_t count, const int8_t *input, float *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = scale * (float)(input[i] - zero_point);
}

void kn_flip_sign(int32_t count, const uint8_t *input, uint8_t *output)
{
    for (int32_t i = 0; i < count; ++i)
        output[i] = input[i] ^ 0x80u;
}
