/* FULLY_CONNECTED and CONV_2D for MVE: sixteen taps of four rows of weights at a time against one column of inputs.
 * A column that does not lie in the input as it is, is gathered in scratch. */
#include "fast.h"

#if defined(__ARM_FEATURE_MVE)

#include "fast_mve.h"

enum { LANES = 16 };

uint32_t fast_kernels(void)
{
    return 3;
}

/* weights_offset * (sum of the inputs and their offsets): what a weights' offset adds to every sum over this column. */
static uint32_t offset_sum(int32_t input_offset, int32_t weights_offset, const int8_t *input, int32_t taps)
{
    int32_t sum = 0;
    if (weights_offset == 0)
        return 0;
    for (int32_t left = taps; left > 0; left -= LANES, input += LANES)
        sum = vaddvaq_s8(sum, vldrbq_z_s8(input, vctp8q((uint32_t)left)));
    return (uint32_t)weights_offset * ((uint32_t)sum + (uint32_t)taps * (uint32_t)input_offset);
}

/* output[r] from sum(input * weights[r]) for each of `rows` rows of `taps` bytes; `added` is added to each sum. */
__attribute__((optimize("O2"))) static void multiply_rows(const mve_ending *ending, const kn_channel_scales *scales,
                                                          int32_t rows, int32_t taps, const int8_t *input,
                                                          const int8_t *weights, const int32_t *folded, uint32_t added,
                                                          int8_t *output)
{
    for (int32_t row = 0; row < rows; row += 4) {
        /* Where rows are missing in the last block, its first one stands in: the result is not stored. */
        const int8_t *row0 = weights + row * taps;
        const int8_t *row1 = row + 1 < rows ? row0 + taps : row0;
        const int8_t *row2 = row + 2 < rows ? row1 + taps : row0;
        const int8_t *row3 = row + 3 < rows ? row2 + taps : row0;
        const int8_t *from = input;
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        int32_t left = taps;
        for (; left >= LANES;
             left -= LANES, from += LANES, row0 += LANES, row1 += LANES, row2 += LANES, row3 += LANES) {
            const int8x16_t values = vldrbq_s8(from);
            sum0 = vmladavaq_s8(sum0, values, vldrbq_s8(row0));
            sum1 = vmladavaq_s8(sum1, values, vldrbq_s8(row1));
            sum2 = vmladavaq_s8(sum2, values, vldrbq_s8(row2));
            sum3 = vmladavaq_s8(sum3, values, vldrbq_s8(row3));
        }
        if (left > 0) {
            const mve_pred16_t lanes = vctp8q((uint32_t)left);
            const int8x16_t values = vldrbq_z_s8(from, lanes);
            sum0 = vmladavaq_s8(sum0, values, vldrbq_z_s8(row0, lanes));
            sum1 = vmladavaq_s8(sum1, values, vldrbq_z_s8(row1, lanes));
            sum2 = vmladavaq_s8(sum2, values, vldrbq_z_s8(row2, lanes));
            sum3 = vmladavaq_s8(sum3, values, vldrbq_z_s8(row3, lanes));
        }
        const int32x4_t sums = {sum0, sum1, sum2, sum3};
        const int32x4_t bias = vldrwq_z_s32(folded + row, vctp32q((uint32_t)(rows - row)));
        mve_finish(ending, scales, row, rows - row, vaddq_s32(sums, vaddq_n_s32(bias, (int32_t)added)), output + row);
    }
}

int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output)
{
    const mve_ending ending = {params->rounding, params->output_offset, params->activation_min, params->activation_max};
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs, output += params->outputs)
        multiply_rows(&ending, scales, params->outputs, params->inputs, input, weights, folded,
                      offset_sum(params->input_offset, params->weights_offset, input, params->inputs), output);
    return 1;
}

uint32_t fast_conv_2d_scratch(const kn_conv_params *params, const kn_conv_shape *shape)
{
    if (shape->filter_channels != shape->input_channels || fast_is_column(params, shape))
        return 0;
    return fast_column_bytes(shape, shape->input_channels);
}

int fast_conv_2d(const kn_conv_params *params, const kn_conv_shape *shape, const kn_channel_scales *scales,
                 const int8_t *input, const int8_t *weights, const int32_t *folded, int8_t *scratch,
                 uint32_t scratch_bytes, int8_t *output)
{
    const mve_ending ending = {params->rounding, params->output_offset, params->activation_min, params->activation_max};
    const int32_t taps = shape->filter_height * shape->filter_width * shape->input_channels;
    const int gather = !fast_is_column(params, shape);
    if (shape->filter_channels != shape->input_channels || scratch_bytes < fast_conv_2d_scratch(params, shape))
        return 0;
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x, output += shape->output_channels) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                const int8_t *column = scratch;
                if (gather)
                    fast_gather(params, shape, 1, origin_y, origin_x, input, scratch);
                else
                    column = input + (origin_y * shape->input_width + origin_x) * shape->input_channels;
                multiply_rows(&ending, scales, shape->output_channels, taps, column, weights, folded,
                              offset_sum(params->input_offset, params->weights_offset, column, taps), output);
            }
        }
        input += shape->input_height * shape->input_width * shape->input_channels;
    }
    return 1;
}

#endif
