/* L2_NORMALIZATION. */
#include "inverse_sqrt.h"
#include "kernels.h"

enum { OUTPUT_BITS = 7 }; /* the output scale is 2^-7 */

void kn_l2_normalize(int32_t rows, int32_t depth, int32_t zero_point, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < rows; ++row, input += depth, output += depth) {
        int32_t sum = 0, multiplier, shift;
        for (int32_t i = 0; i < depth; ++i)
            sum += (input[i] - zero_point) * (input[i] - zero_point);
        kn_inverse_sqrt(sum, &multiplier, &shift);
        for (int32_t i = 0; i < depth; ++i)
            output[i] = kn_requantize_to_int8(input[i] - zero_point, multiplier, shift + OUTPUT_BITS, KN_ROUND_DOUBLE,
                                              0, INT8_MIN, INT8_MAX);
    }
}
