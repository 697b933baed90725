/* Kernels that move values and compute nothing: CONCATENATION, PAD, RESHAPE, and views (TRANSPOSE, STRIDED_SLICE). */
#include <string.h>

#include "kernels.h"
#include "walk.h"

void kn_concatenation(int32_t outer, int32_t inputs, const int32_t *inner_sizes, const int8_t *const *input,
                      const int8_t *const *tables, int8_t *output)
{
    for (int32_t row = 0; row < outer; ++row) {
        for (int32_t i = 0; i < inputs; ++i) {
            const int8_t *from = input[i] + row * inner_sizes[i];
            if (tables && tables[i])
                kn_lookup(tables[i], inner_sizes[i], from, output);
            else
                memcpy(output, from, (size_t)inner_sizes[i]);
            output += inner_sizes[i];
        }
    }
}

void kn_pad(const kn_pad_params *params, const int8_t *input, int8_t *output)
{
    const int32_t last = params->rank - 1;
    const int32_t length = params->input_dims[last];
    int32_t strides[KN_MAX_RANK];
    int32_t index[KN_MAX_RANK] = {0};
    int32_t elements = 1;
    int32_t offset = 0;
    for (int32_t d = last; d >= 0; --d) {
        strides[d] = elements;
        offset += params->before[d] * elements;
        elements *= params->before[d] + params->input_dims[d] + params->after[d];
    }
    memset(output, (int)(uint8_t)params->value, (size_t)elements);
    do {
        memcpy(output + offset, input, (size_t)length);
        input += length;
    } while (kn_walk_next(last, params->input_dims, strides, index, &offset));
}

void kn_reshape(int32_t count, const int8_t *input, int8_t *output)
{
    const uintptr_t from = (uintptr_t)input, to = (uintptr_t)output, bytes = (uintptr_t)count;
    if (from + bytes <= to || to + bytes <= from) {
        memcpy(output, input, (size_t)count);
        return;
    }
    /* Overlapping, which is rare: memmove alone would be 250 bytes of code. */
    if (to < from) {
        for (int32_t i = 0; i < count; ++i)
            output[i] = input[i];
    } else if (to > from) {
        for (int32_t i = count; i-- > 0;)
            output[i] = input[i];
    }
}

void kn_gather(const kn_view *view, const int8_t *input, int8_t *output)
{
    const int32_t last = view->rank - 1;
    const int32_t length = view->dims[last];
    const int32_t step = view->strides[last];
    int32_t index[KN_MAX_RANK] = {0};
    int32_t offset = view->start;
    do {
        if (step == 1) {
            memcpy(output, input + offset, (size_t)length);
            output += length;
        } else {
            for (int32_t i = 0; i < length; ++i)
                *output++ = input[offset + i * step];
        }
    } while (kn_walk_next(last, view->dims, view->strides, index, &offset));
}
