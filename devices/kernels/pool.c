/* MAX_POOL_2D and AVERAGE_POOL_2D. */
#include "kernels.h"

/* The part of one output pixel's window that lies inside the input: rows [y0, y1), columns [x0, x1). */
typedef struct {
    int32_t y0, y1, x0, x1;
} region;

static region clip_window(const kn_pool_params *params, int32_t output_y, int32_t output_x)
{
    const int32_t y = output_y * params->stride_height - params->pad_top;
    const int32_t x = output_x * params->stride_width - params->pad_left;
    region inside;
    inside.y0 = kn_clamp(y, 0, params->input_height);
    inside.x0 = kn_clamp(x, 0, params->input_width);
    inside.y1 = kn_clamp(y + params->filter_height, 0, params->input_height);
    inside.x1 = kn_clamp(x + params->filter_width, 0, params->input_width);
    return inside;
}

static int32_t region_max(const kn_pool_params *params, const region *inside, const int8_t *image)
{
    int32_t max = INT8_MIN;
    for (int32_t y = inside->y0; y < inside->y1; ++y) {
        for (int32_t x = inside->x0; x < inside->x1; ++x) {
            const int32_t value = image[(y * params->input_width + x) * params->channels];
            if (value > max)
                max = value;
        }
    }
    return max;
}

/* The mean, rounded to nearest; ties away from zero of the stored value, which for uint8 means up. */
static int32_t region_mean(const kn_pool_params *params, const region *inside, const int8_t *image)
{
    const int32_t count = (inside->y1 - inside->y0) * (inside->x1 - inside->x0);
    const int32_t flip = params->is_uint8 ? 128 : 0;
    int32_t sum = 0;
    if (count <= 0)
        return 0;
    for (int32_t y = inside->y0; y < inside->y1; ++y)
        for (int32_t x = inside->x0; x < inside->x1; ++x)
            sum += image[(y * params->input_width + x) * params->channels] + flip;
    return (sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count) - flip;
}

static void pool(const kn_pool_params *params, const int8_t *input, int8_t *output,
                 int32_t (*reduce)(const kn_pool_params *, const region *, const int8_t *))
{
    const int32_t image_size = params->input_height * params->input_width * params->channels;
    for (int32_t batch = 0; batch < params->batches; ++batch, input += image_size) {
        for (int32_t y = 0; y < params->output_height; ++y) {
            for (int32_t x = 0; x < params->output_width; ++x) {
                const region inside = clip_window(params, y, x);
                for (int32_t channel = 0; channel < params->channels; ++channel)
                    *output++ = (int8_t)kn_clamp(reduce(params, &inside, input + channel), params->activation_min,
                                                 params->activation_max);
            }
        }
    }
}

void kn_max_pool_2d(const kn_pool_params *params, const int8_t *input, int8_t *output)
{
    pool(params, input, output, region_max);
}

void kn_average_pool_2d(const kn_pool_params *params, const int8_t *input, int8_t *output)
{
    pool(params, input, output, region_mean);
}
