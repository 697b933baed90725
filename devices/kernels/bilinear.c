/* RESIZE_BILINEAR. */
#include "kernels.h"

enum { WHOLE = 1 << 10 };

void kn_resize_bilinear(const kn_resize_shape *shape, const int32_t *rows, const int32_t *row_parts,
                        const int32_t *columns, const int32_t *column_parts, const int8_t *input, int8_t *output)
{
    const int32_t channels = shape->channels;
    const int32_t row_size = shape->input_width * channels;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * row_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int8_t *const upper = input + rows[y] * row_size;
            const int8_t *const lower = rows[y] + 1 < shape->input_height ? upper + row_size : upper;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t left = columns[x] * channels;
                const int32_t right = columns[x] + 1 < shape->input_width ? left + channels : left;
                const int32_t down = row_parts[y], across = column_parts[x];
                for (int32_t c = 0; c < channels; ++c) {
                    const int32_t above = upper[left + c] * (WHOLE - across) + upper[right + c] * across;
                    const int32_t below = lower[left + c] * (WHOLE - across) + lower[right + c] * across;
                    const int32_t sum = above * (WHOLE - down) + below * down;
                    *output++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
                }
            }
        }
    }
}

/* The sums have 35 bits. */
void kn_resize_bilinear_16(const kn_resize_shape *shape, const int32_t *rows, const int32_t *row_parts,
                           const int32_t *columns, const int32_t *column_parts, const int16_t *input, int16_t *output)
{
    const int32_t channels = shape->channels;
    const int32_t row_size = shape->input_width * channels;
    for (int32_t batch = 0; batch < shape->batches; ++batch, input += shape->input_height * row_size) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int16_t *const upper = input + rows[y] * row_size;
            const int16_t *const lower = rows[y] + 1 < shape->input_height ? upper + row_size : upper;
            for (int32_t x = 0; x < shape->output_width; ++x) {
                const int32_t left = columns[x] * channels;
                const int32_t right = columns[x] + 1 < shape->input_width ? left + channels : left;
                const int32_t down = row_parts[y], across = column_parts[x];
                for (int32_t c = 0; c < channels; ++c) {
                    const int32_t above = upper[left + c] * (WHOLE - across) + upper[right + c] * across;
                    const int32_t below = lower[left + c] * (WHOLE - across) + lower[right + c] * across;
                    const int64_t sum = (int64_t)above * (WHOLE - down) + (int64_t)below * down;
                    /* Half away from zero: a negative sum loses a bit before it is rounded down. */
                    *output++ = (int16_t)((sum + (1 << 19) - (sum <= 0)) >> 20);
                }
            }
        }
    }
}
