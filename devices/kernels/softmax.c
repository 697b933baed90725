/* SOFTMAX. */
#include "softmax_rows.h"

void kn_softmax(const kn_softmax_params *params, const int8_t *input, int8_t *output)
{
    softmax_rows(params, input, output, 8);
}
