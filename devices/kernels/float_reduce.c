/* Float32 along dimensions: SUM, MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, ARG_MAX, ARG_MIN, SOFTMAX, LOG_SOFTMAX,
 * L2_NORMALIZATION. */
#include "kernels.h"
#include "float_math.h"
#include "walk.h"

#if KN_FLOATS

void kn_float_reduce(const kn_float_reduce_params *params, const float *input, float *output)
{
    kn_axes kept, reduced;
    int32_t kept_index[KN_MAX_RANK] = {0};
    int32_t reduced_index[KN_MAX_RANK] = {0};
    int32_t base = 0;
    kn_split_axes(params->rank, params->dims, params->reduced, &kept, &reduced);
    do {
        float result = input[base], lost = 0.0f;
        while (kn_walk_next(reduced.rank, reduced.dims, reduced.strides, reduced_index, &base)) {
            const float value = input[base];
            if (params->reduction == KN_SUM) {
                /* Kahan's sum: a MEAN over a whole image has an error of its last digit, not of its size. */
                const float wanted = value - lost, sum = result + wanted;
                lost = (sum - result) - wanted;
                if (lost - lost != 0.0f) /* the sum is infinite or no number, and nothing is lost of that */
                    lost = 0.0f;
                result = sum;
            } else if (params->reduction == KN_PRODUCT) {
                result *= value;
            } else if (params->reduction == KN_LARGEST ? value > result : value < result) {
                result = value;
            }
        }
        *output++ = result / params->divisor;
    } while (kn_walk_next(kept.rank, kept.dims, kept.strides, kept_index, &base));
}

void kn_float_arg_max(const kn_arg_params *params, const float *input, int32_t *output)
{
    for (int32_t outer = 0; outer < params->outer; ++outer, input += params->size * params->inner) {
        for (int32_t inner = 0; inner < params->inner; ++inner) {
            int32_t best = 0;
            for (int32_t i = 1; i < params->size; ++i) {
                const float value = input[i * params->inner + inner];
                const float so_far = input[best * params->inner + inner];
                if (params->smallest ? value < so_far : value > so_far)
                    best = i;
            }
            *output++ = best;
        }
    }
}

void kn_float_softmax(int32_t rows, int32_t depth, int32_t logarithm, float beta, const float *input, float *output)
{
    for (; rows > 0; --rows, input += depth, output += depth) {
        float largest = input[0], sum = 0.0f;
        for (int32_t i = 1; i < depth; ++i)
            if (input[i] > largest)
                largest = input[i];
        for (int32_t i = 0; i < depth; ++i) {
            const float below = (input[i] - largest) * beta, share = kn_float_exp(below);
            output[i] = logarithm ? below : share;
            sum += share;
        }
        const float whole = logarithm ? kn_float_log(sum) : sum;
        for (int32_t i = 0; i < depth; ++i)
            output[i] = logarithm ? output[i] - whole : output[i] / whole;
    }
}

void kn_float_l2_normalize(int32_t rows, int32_t depth, const float *input, float *output)
{
    for (; rows > 0; --rows, input += depth, output += depth) {
        float sum = 0.0f;
        for (int32_t i = 0; i < depth; ++i)
            sum = KN_FMA(input[i], input[i], sum);
        /* The reference's bound from below, by which it divides a row of zeros. */
        float norm = kn_float_sqrt(sum);
        norm = norm < 1e-6f ? 1e-6f : norm;
        for (int32_t i = 0; i < depth; ++i)
            output[i] = input[i] / norm;
    }
}

#endif
