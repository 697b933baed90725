/* MAX_POOL_2D and AVERAGE_POOL_2D of float32. */
#include "kernels.h"
#include "float_math.h"

#if KN_FLOATS

/* Of one channel over rows [y0, y1) and columns [x0, x1). */
static float pooled(const kn_pool_params *p, const float *image, int32_t average, int32_t y0, int32_t y1, int32_t x0,
                    int32_t x1)
{
    float result = average ? 0.0f : -__builtin_inff();
    for (int32_t y = y0; y < y1; ++y) {
        const float *value = image + (y * p->input_width + x0) * p->channels;
        for (int32_t left = x1 - x0; left > 0; --left, value += p->channels) {
            if (average)
                result += *value;
            else if (*value > result)
                result = *value;
        }
    }
    const int32_t count = (y1 - y0) * (x1 - x0);
    return average && count > 0 ? result / (float)count : result;
}

void kn_float_pool_2d(const kn_pool_params *params, int32_t average, const float *input, float *output)
{
    const kn_pool_params *const p = params;
    const float low = kn_float_of(p->activation_min), high = kn_float_of(p->activation_max);
    for (int32_t batch = 0; batch < p->batches; ++batch, input += p->input_height * p->input_width * p->channels) {
        for (int32_t row = 0; row < p->output_height; ++row) {
            const int32_t y = row * p->stride_height - p->pad_top;
            const int32_t y0 = kn_clamp(y, 0, p->input_height);
            const int32_t y1 = kn_clamp(y + p->filter_height, 0, p->input_height);
            for (int32_t column = 0; column < p->output_width; ++column) {
                const int32_t x = column * p->stride_width - p->pad_left;
                const int32_t x0 = kn_clamp(x, 0, p->input_width);
                const int32_t x1 = kn_clamp(x + p->filter_width, 0, p->input_width);
                for (int32_t channel = 0; channel < p->channels; ++channel)
                    *output++ = kn_float_clamp(pooled(p, input + channel, average, y0, y1, x0, x1), low, high);
            }
        }
    }
}

#endif
