/* Four rows of weights at a time against one column of inputs, for cores with the DSP extension: FULLY_CONNECTED,
 * and convolutions whose columns are too long for more scratch. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"

/* Four taps: one word of the input, widened once, with one word of each row. The fourth row's pointer moves for
 * itself; the first's moves last. */
#define LOAD_INPUT "ldr r4, [%[in]], #4\n\tsxtb16 r3, r4\n\tsxtb16 r4, r4, ror #8\n\t"
#define ROW(load, sum)                                                                                                 \
    load "\n\tsxtb16 r6, r5\n\tsxtb16 r5, r5, ror #8\n\tsmlad %[" sum "], r6, r3, %[" sum "]\n\tsmlad %[" sum          \
         "], r5, r4, %[" sum "]\n\t"
#define FOUR_TAPS                                                                                                      \
    LOAD_INPUT ROW("ldr r5, [%[w], %[stride]]", "s1") ROW("ldr r5, [%[w], %[stride], lsl #1]", "s2")                   \
        ROW("ldr r5, [%[w3]], #4", "s3") ROW("ldr r5, [%[w]], #4", "s0")

__attribute__((optimize("O2"))) void dsp_rows(const dsp_ending *ending, int32_t rows, int32_t taps, const int8_t *input,
                                              const int8_t *weights, const int32_t *folded, uint32_t offset_sum,
                                              int8_t *output)
{
    const int32_t whole = taps & ~3;
    for (int32_t row = 0; row < rows; row += 4) {
        /* The last block ends with the last row: some rows are computed twice, none goes beyond the weights. */
        if (row > rows - 4)
            row = rows - 4;
        const int8_t *first = weights + row * taps, *last = first + 3 * taps, *from = input;
        int32_t s0 = kn_wrap_add(folded[row], (int32_t)offset_sum),
                s1 = kn_wrap_add(folded[row + 1], (int32_t)offset_sum);
        int32_t s2 = kn_wrap_add(folded[row + 2], (int32_t)offset_sum),
                s3 = kn_wrap_add(folded[row + 3], (int32_t)offset_sum);
        if (whole) {
            int32_t blocks = taps >> 2;
            /* Two blocks a turn; the first turn of an odd count begins in the middle. */
            __asm__ volatile("lsrs %[n], #1\n\t"
                             "adc %[n], #0\n\t"
                             "bcs 3f\n"
                             "2:\n\t" FOUR_TAPS "3:\n\t" FOUR_TAPS "subs %[n], #1\n\t"
                             "bne 2b"
                             : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [in] "+r"(from),
                               [w] "+r"(first), [w3] "+r"(last), [n] "+r"(blocks)
                             : [stride] "r"(taps)
                             : "r3", "r4", "r5", "r6", "cc", "memory");
        }
        for (int32_t left = taps - whole; left > 0; --left, ++from, ++first) {
            s0 = kn_wrap_add(s0, *from * first[0]);
            s1 = kn_wrap_add(s1, *from * first[taps]);
            s2 = kn_wrap_add(s2, *from * first[2 * taps]);
            s3 = kn_wrap_add(s3, *from * first[3 * taps]);
        }
        fast_store(output + row, dsp_finish_channels(ending, row, s0, s1, s2, s3));
    }
}

int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output)
{
    const dsp_ending ending = dsp_make_ending(scales, params->outputs, params->rounding, params->output_offset,
                                              params->activation_min, params->activation_max);
    if (params->outputs < 4)
        return 0;
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs, output += params->outputs)
        dsp_rows(&ending, params->outputs, params->inputs, input, weights, folded,
                 dsp_offset_sum(params->input_offset, params->weights_offset, input, params->inputs), output);
    return 1;
}

#endif
