/* BATCH_MATMUL of float32. */
#include "kernels.h"
#include "float_math.h"
#include "walk.h"

#if KN_FLOATS

void kn_float_batch_matmul(const kn_float_matmul_params *params, const kn_broadcast *batches, const float *input1,
                           const float *input2, float *output)
{
    int32_t index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0};
    int32_t at1 = 0, at2 = 0;
    do {
        for (int32_t row = 0; row < params->rows; ++row) {
            for (int32_t column = 0; column < params->columns; ++column) {
                const float *one = input1 + at1 + row * params->row_stride1;
                const float *two = input2 + at2 + column * params->column_stride2;
                float sum = 0.0f;
                for (int32_t left = params->depth; left > 0; --left) {
                    sum = KN_FMA(*one, *two, sum);
                    one += params->depth_stride1;
                    two += params->depth_stride2;
                }
                *output++ = sum;
            }
        }
        kn_walk_next(batches->rank, batches->dims, batches->strides1, index1, &at1);
    } while (kn_walk_next(batches->rank, batches->dims, batches->strides2, index2, &at2));
}

#endif
