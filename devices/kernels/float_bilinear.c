/* RESIZE_BILINEAR of float32. */
#include "kernels.h"
#include "float_math.h"

#if KN_FLOATS

void kn_float_resize_bilinear(const kn_resize_shape *shape, const int32_t *rows, const float *row_parts,
                              const int32_t *columns, const float *column_parts, const float *input, float *output)
{
    const int32_t channels = shape->channels;
    const int32_t row_size = shape->input_width * channels;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * row_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const float *const upper = input + rows[y] * row_size;
            const float *const lower = rows[y] + 1 < shape->input_height ? upper + row_size : upper;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t left = columns[x] * channels;
                const int32_t right = columns[x] + 1 < shape->input_width ? left + channels : left;
                const float down = row_parts[y], across = column_parts[x];
                for (int32_t c = 0; c < channels; ++c) {
                    const float above = upper[left + c] * (1.0f - across) + upper[right + c] * across;
                    const float below = lower[left + c] * (1.0f - across) + lower[right + c] * across;
                    *output++ = above * (1.0f - down) + below * down;
                }
            }
        }
    }
}

#endif
