/* The inner loop of CONV_2D and FULLY_CONNECTED, and the end of every sum: see taps.h. */
#include "taps.h"

/* A function of its own, with the few registers of small cores to itself, and four elements at a time: with less,
 * half of what a core without vectors executes is the loop. */
uint32_t kn_dot(const int8_t *input, const int8_t *weights, int32_t count, int32_t input_offset, int32_t weights_offset)
{
    const int8_t *const end = input + count;
    uint32_t sum = 0;
    if (weights_offset == 0) {
        for (const int8_t *const whole = input + (count & ~3); input != whole; input += 4, weights += 4) {
            sum += (uint32_t)((input[0] + input_offset) * weights[0]);
            sum += (uint32_t)((input[1] + input_offset) * weights[1]);
            sum += (uint32_t)((input[2] + input_offset) * weights[2]);
            sum += (uint32_t)((input[3] + input_offset) * weights[3]);
        }
    }
    while (input != end)
        sum += (uint32_t)((*input++ + input_offset) * (*weights++ + weights_offset));
    return sum;
}

#if defined(__ARM_FEATURE_DSP)
int8_t kn_finish_sum(const kn_channel_scales *scales, int32_t channel, uint32_t sum, int32_t rounding,
                     int32_t zero_point, int32_t low, int32_t high)
{
    return kn_finish_sum_inline(scales, channel, sum, rounding, zero_point, low, high);
}
#endif
