/* BATCH_MATMUL: both matrices are activations, so nothing can be summed beforehand. */
#include "kernels.h"
#include "walk.h"

static int8_t dot(const kn_matmul_params *p, const int8_t *one, const int8_t *two)
{
    uint32_t sum = 0;
    for (int32_t left = p->depth; left > 0; --left) {
        sum += (uint32_t)((*one + p->input1_offset) * (*two + p->input2_offset));
        one += p->depth_stride1;
        two += p->depth_stride2;
    }
    return kn_requantize_to_int8((int32_t)sum, p->multiplier, p->shift, KN_ROUND_DOUBLE, p->output_offset, INT8_MIN,
                                 INT8_MAX);
}

void kn_batch_matmul(const kn_matmul_params *params, const kn_broadcast *batches, const int8_t *input1,
                     const int8_t *input2, int8_t *output)
{
    const int32_t rank = batches->rank;
    int32_t index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0};
    int32_t at1 = 0, at2 = 0;
    do {
        for (int32_t row = 0; row < params->rows; ++row)
            for (int32_t column = 0; column < params->columns; ++column)
                *output++ = dot(params, input1 + at1 + row * params->row_stride1,
                                input2 + at2 + column * params->column_stride2);
        kn_walk_next(rank, batches->dims, batches->strides1, index1, &at1);
    } while (kn_walk_next(rank, batches->dims, batches->strides2, index2, &at2));
}

static int16_t dot_16(const kn_matmul_params *p, const int16_t *one, const int16_t *two)
{
    int64_t sum = 0;
    for (int32_t left = p->depth; left > 0; --left) {
        sum += *one * *two;
        one += p->depth_stride1;
        two += p->depth_stride2;
    }
    return (int16_t)kn_clamp(kn_requantize_wide(sum, p->multiplier, p->shift), INT16_MIN, INT16_MAX);
}

void kn_batch_matmul_16(const kn_matmul_params *params, const kn_broadcast *batches, const int16_t *input1,
                        const int16_t *input2, int16_t *output)
{
    const int32_t rank = batches->rank;
    int32_t index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0};
    int32_t at1 = 0, at2 = 0;
    do {
        for (int32_t row = 0; row < params->rows; ++row)
            for (int32_t column = 0; column < params->columns; ++column)
                *output++ = dot_16(params, input1 + at1 + row * params->row_stride1,
                                   input2 + at2 + column * params->column_stride2);
        kn_walk_next(rank, batches->dims, batches->strides1, index1, &at1);
    } while (kn_walk_next(rank, batches->dims, batches->strides2, index2, &at2));
}
