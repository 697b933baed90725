/* MAX_POOL_2D and AVERAGE_POOL_2D of 16-bit activations. */
#include "kernels.h"

/* The maximum, or the mean rounded to nearest with ties away from zero, of the part of a window that lies inside. */
static int32_t reduce_window(const kn_pool_params *p, int32_t y, int32_t x, int average, const int16_t *image)
{
    const int32_t y0 = kn_clamp(y, 0, p->input_height), y1 = kn_clamp(y + p->filter_height, 0, p->input_height);
    const int32_t x0 = kn_clamp(x, 0, p->input_width), x1 = kn_clamp(x + p->filter_width, 0, p->input_width);
    const int32_t count = (y1 - y0) * (x1 - x0);
    int32_t max = INT16_MIN;
    int64_t sum = 0;
    for (int32_t row = y0; row < y1; ++row) {
        for (int32_t column = x0; column < x1; ++column) {
            const int32_t value = image[(row * p->input_width + column) * p->channels];
            max = value > max ? value : max;
            sum += value;
        }
    }
    if (!average)
        return max;
    if (count <= 0)
        return 0;
    return (int32_t)((sum + (sum > 0 ? count / 2 : -(count / 2))) / count);
}

static void pool(const kn_pool_params *params, int average, const int16_t *input, int16_t *output)
{
    const int32_t image_size = params->input_height * params->input_width * params->channels;
    for (int32_t batch = 0; batch < params->batches; ++batch, input += image_size) {
        for (int32_t y = 0; y < params->output_height; ++y) {
            for (int32_t x = 0; x < params->output_width; ++x) {
                for (int32_t channel = 0; channel < params->channels; ++channel)
                    *output++ = (int16_t)kn_clamp(reduce_window(params, y * params->stride_height - params->pad_top,
                                                                x * params->stride_width - params->pad_left, average,
                                                                input + channel),
                                                  params->activation_min, params->activation_max);
            }
        }
    }
}

void kn_max_pool_2d_16(const kn_pool_params *params, const int16_t *input, int16_t *output)
{
    pool(params, 0, input, output);
}

void kn_average_pool_2d_16(const kn_pool_params *params, const int16_t *input, int16_t *output)
{
    pool(params, 1, input, output);
}
