/* SOFTMAX of 8 bits to 16. */
#include "softmax_rows.h"

void kn_softmax_8_16(const kn_softmax_params *params, const int8_t *input, int16_t *output)
{
    softmax_rows(params, input, output, 16);
}
