/* RESIZE_NEAREST_NEIGHBOR. */
#include <string.h>

#include "kernels.h"

void kn_resize_nearest(const kn_resize_shape *shape, const int32_t *rows, const int32_t *columns, const int8_t *input,
                       int8_t *output)
{
    const int32_t channels = shape->channels;
    const int32_t row_size = shape->input_width * channels;
    const int32_t image_size = shape->input_height * row_size;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += image_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int8_t *row = input + rows[y] * row_size;
            for (int32_t x = 0; x < shape->output_width; ++x, output += channels)
                memcpy(output, row + columns[x] * channels, (size_t)channels);
        }
    }
}
