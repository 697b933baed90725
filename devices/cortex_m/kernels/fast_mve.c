/* FULLY_CONNECTED and CONV_2D for MVE: sixteen taps of four rows of weights at a time against one column of inputs.
 * A column that does not lie in the input as it is, is gathered in scratch.
 *
 * The loop over taps is tail-predicated (DLSTP, LETP): whatever the count of taps, no second loop and no branch. */
#include "fast.h"

#if defined(__ARM_FEATURE_MVE)

#include "fast_mve.h"

enum {
    LANES = 16,
    GROUPED = 32 /* rows whose biases are raised at a time, where weights have an offset */
};

uint32_t fast_kernels(void)
{
    return 3;
}

void mve_make_ending(mve_ending *ending, const kn_channel_scales *scales, int32_t channels, int32_t rounding,
                     int32_t output_offset, int32_t low, int32_t high)
{
    int32_t most = INT32_MIN;
    for (int32_t i = 0; i < (scales->per_channel ? channels : 1); i += 4)
        most = vmaxvq_p_s32(
            most, vldrwq_z_s32(scales->shifts + i, vctp32q((uint32_t)(scales->per_channel ? channels - i : 1))),
            vctp32q((uint32_t)(scales->per_channel ? channels - i : 1)));
    ending->is_right = rounding == KN_ROUND_DOUBLE && most <= 0;
    ending->multipliers = scales->multipliers;
    ending->shifts = scales->shifts;
    ending->step = 1;
    ending->rounding = rounding;
    ending->output_offset = output_offset;
    ending->low = low;
    ending->high = high;
    if (scales->per_channel)
        return;
    for (int32_t i = 0; i < 8; ++i) {
        ending->same[0][i] = scales->multipliers[0];
        ending->same[1][i] = scales->shifts[0];
    }
    ending->multipliers = ending->same[0];
    ending->shifts = ending->same[1];
    ending->step = 0;
}

void mve_finish(const mve_ending *ending, int32_t first, int32_t count, int32x4_t sums, int8_t *output)
{
    const int32_t *const multipliers = ending->multipliers + first * ending->step;
    const int32_t *const shifts = ending->shifts + first * ending->step;
    const mve_pred16_t lanes = vctp32q((uint32_t)count);
    if (ending->rounding == KN_ROUND_SINGLE) {
        int32_t values[4];
        vst1q_s32(values, sums);
        for (int32_t i = 0; i < 4 && i < count; ++i)
            output[i] = kn_requantize_to_int8(values[i], multipliers[i], shifts[i], ending->rounding,
                                              ending->output_offset, ending->low, ending->high);
        return;
    }
    int32x4_t values = mve_scale(sums, vldrwq_z_s32(multipliers, lanes), vldrwq_z_s32(shifts, lanes));
    values = vaddq_n_s32(values, ending->output_offset);
    values = vminq_s32(vmaxq_s32(values, vdupq_n_s32(ending->low)), vdupq_n_s32(ending->high));
    vstrbq_p_s32(output, values, lanes);
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

/* added + sum(input * row) for four rows of weights, as the lanes of one vector. Accumulators of VMLADAVA are even
 * registers. */
static inline __attribute__((always_inline)) int32x4_t multiply(int32_t taps, const int8_t *input, const int8_t *row0,
                                                                const int8_t *row1, const int8_t *row2,
                                                                const int8_t *row3, int32_t added)
{
    int32_t sum0 = added, sum1 = added, sum2 = added, sum3 = added;
    int8x16_t values, factors;
    int32x4_t sums;
    __asm__ volatile("dlstp.8 lr, %[taps]\n"
                     "1:\n\t"
                     "vldrb.8 %q[values], [%[input]], #16\n\t"
                     "vldrb.8 %q[factors], [%[row0]], #16\n\tvmladava.s8 %[sum0], %q[values], %q[factors]\n\t"
                     "vldrb.8 %q[factors], [%[row1]], #16\n\tvmladava.s8 %[sum1], %q[values], %q[factors]\n\t"
                     "vldrb.8 %q[factors], [%[row2]], #16\n\tvmladava.s8 %[sum2], %q[values], %q[factors]\n\t"
                     "vldrb.8 %q[factors], [%[row3]], #16\n\tvmladava.s8 %[sum3], %q[values], %q[factors]\n\t"
                     "letp lr, 1b\n\t"
                     "vmov %q[sums][2], %q[sums][0], %[sum0], %[sum2]\n\t"
                     "vmov %q[sums][3], %q[sums][1], %[sum1], %[sum3]"
                     : [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3),
                       [input] "+r"(input), [row0] "+r"(row0), [row1] "+r"(row1), [row2] "+r"(row2), [row3] "+r"(row3),
                       [values] "=&w"(values), [factors] "=&w"(factors), [sums] "=&w"(sums)
                     : [taps] "r"(taps)
                     : "lr", "cc", "memory");
    return sums;
}

/* Whole groups of four rows, each from its folded bias to its four outputs, until the outputs reach `end`: for scales
 * that are all to the right. Accumulators come by one LDM; the places of multipliers and shifts lie in vectors, which
 * move on by themselves where each channel has its own (`on` is "!"). `back` leads from the end of a row's last sixteen
 * bytes to the row four further on. 24 instructions a group beside the loop over taps. */
#define GROUPS(on)                                                                                                     \
    "1:\n\t"                                                                                                           \
    "ldmia %[folded]!, {r0, r2, r4, r6}\n\t"                                                                           \
    "ldr %[from], %[input]\n\t"                                                                                        \
    "add %[row1], %[row0], %[taps]\n\tadd %[row2], %[row1], %[taps]\n\tadd %[row3], %[row2], %[taps]\n\t"              \
    "dlstp.8 lr, %[taps]\n"                                                                                            \
    "2:\n\t"                                                                                                           \
    "vldrb.8 %q[values], [%[from]], #16\n\t"                                                                           \
    "vldrb.8 %q[factors], [%[row0]], #16\n\tvmladava.s8 r0, %q[values], %q[factors]\n\t"                               \
    "vldrb.8 %q[factors], [%[row1]], #16\n\tvmladava.s8 r2, %q[values], %q[factors]\n\t"                               \
    "vldrb.8 %q[factors], [%[row2]], #16\n\tvmladava.s8 r4, %q[values], %q[factors]\n\t"                               \
    "vldrb.8 %q[factors], [%[row3]], #16\n\tvmladava.s8 r6, %q[values], %q[factors]\n\t"                               \
    "letp lr, 2b\n\t"                                                                                                  \
    "vmov %q[values][2], %q[values][0], r0, r4\n\tvmov %q[values][3], %q[values][1], r2, r6\n\t"                       \
    "vldrw.u32 %q[factors], [%q[multipliers], #16]" on "\n\tvqrdmulh.s32 %q[values], %q[values], %q[factors]\n\t"      \
    "vldrw.u32 %q[factors], [%q[shifts], #16]" on                                                                      \
    "\n\tvand %q[ties], %q[values], %q[factors]\n\tvshr.s32 %q[ties], %q[ties], #31\n\t"                               \
    "vqadd.s32 %q[values], %q[values], %q[ties]\n\tvrshl.s32 %q[values], %q[values], %q[factors]\n\t"                  \
    "add %[row0], %[row0], %[back]\n\t"                                                                                \
    "vadd.i32 %q[values], %q[values], %q[offset]\n\t"                                                                  \
    "vmax.s32 %q[values], %q[values], %q[low]\n\tvmin.s32 %q[values], %q[values], %q[high]\n\t"                        \
    "vstrb.32 %q[values], [%[output]], #4\n\t"                                                                         \
    "ldr lr, %[end]\n\tcmp %[output], lr\n\tbne 1b"
#define GROUPS_OPERANDS                                                                                                \
    : [folded] "+r"(folded), [output] "+r"(output), [row0] "+r"(weights), [row1] "=&r"(row1), [row2] "=&r"(row2),      \
      [row3] "=&r"(row3), [from] "=&r"(from), [multipliers] "+w"(multipliers), [shifts] "+w"(shifts),                  \
      [values] "=&w"(values), [factors] "=&w"(factors), [ties] "=&w"(ties)                                             \
    : [taps] "r"(taps), [back] "r"(back), [input] "m"(input), [end] "m"(end), [offset] "w"(offset), [low] "w"(low),    \
      [high] "w"(high)                                                                                                 \
    : "r0", "r2", "r4", "r6", "lr", "cc", "memory"

static __attribute__((noinline, optimize("O2"))) void multiply_groups(const mve_ending *ending, int32_t first,
                                                                      int32_t count, int32_t taps, const int8_t *input,
                                                                      const int8_t *weights, const int32_t *folded,
                                                                      int8_t *output)
{
    const int32_t back = 4 * taps - ((taps + LANES - 1) & -LANES);
    const int8_t *const end = output + count, *from, *row1, *row2, *row3;
    const uint32x4_t lanes = vaddq_n_u32(vidupq_n_u32(0, 4), 4u * (uint32_t)(first * ending->step) - 16u);
    uint32x4_t multipliers = vaddq_n_u32(lanes, (uint32_t)(uintptr_t)ending->multipliers);
    uint32x4_t shifts = vaddq_n_u32(lanes, (uint32_t)(uintptr_t)ending->shifts);
    const int32x4_t offset = vdupq_n_s32(ending->output_offset), low = vdupq_n_s32(ending->low),
                    high = vdupq_n_s32(ending->high);
    int32x4_t values, factors, ties;
    if (ending->step)
        __asm__ volatile(GROUPS("!") GROUPS_OPERANDS);
    else
        __asm__ volatile(GROUPS("") GROUPS_OPERANDS);
}

/* output[r] from sum(input * weights[r]) for each of `rows` rows of `taps` bytes; `added` is added to each sum. */
static __attribute__((optimize("O2"))) void multiply_rows(const mve_ending *ending, int32_t rows, int32_t taps,
                                                          const int8_t *input, const int8_t *weights,
                                                          const int32_t *folded, uint32_t added, int8_t *output)
{
    int32_t row = 0;
    if (ending->is_right && added == 0 && rows >= 4) {
        row = rows & ~3;
        multiply_groups(ending, 0, row, taps, input, weights, folded, output);
    }
    while (ending->is_right && rows - row >= 4) {
        int32_t raised[GROUPED];
        const int32_t count = rows - row < GROUPED ? (rows - row) & ~3 : GROUPED;
        for (int32_t i = 0; i < count; i += 4)
            vstrwq_s32(raised + i, vaddq_n_s32(vldrwq_s32(folded + row + i), (int32_t)added));
        multiply_groups(ending, row, count, taps, input, weights + row * taps, raised, output + row);
        row += count;
    }
    weights += row * taps;
    for (; row < rows; row += 4, weights += 4 * taps) {
        /* Where rows are missing in the last block, its first one stands in: the result is not stored. */
        const int32_t left = rows - row;
        const int32x4_t sums = vaddq_s32(multiply(taps, input, weights, weights + (left > 1 ? taps : 0),
                                                  weights + (left > 2 ? 2 * taps : 0),
                                                  weights + (left > 3 ? 3 * taps : 0), (int32_t)added),
                                         vldrwq_z_s32(folded + row, vctp32q((uint32_t)left)));
        mve_finish(ending, row, left, sums, output + row);
    }
}

int fast_fully_connected(const kn_fully_connected_params *params, const kn_channel_scales *scales, const int8_t *input,
                         const int8_t *weights, const int32_t *folded, int8_t *output)
{
    mve_ending ending;
    mve_make_ending(&ending, scales, params->outputs, params->rounding, params->output_offset, params->activation_min,
                    params->activation_max);
    for (int32_t batch = 0; batch < params->batches; ++batch, input += params->inputs, output += params->outputs)
        multiply_rows(&ending, params->outputs, params->inputs, input, weights, folded,
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
    const int32_t taps = shape->filter_height * shape->filter_width * shape->input_channels;
    const int gather = !fast_is_column(params, shape);
    mve_ending ending;
    if (shape->filter_channels != shape->input_channels || scratch_bytes < fast_conv_2d_scratch(params, shape))
        return 0;
    mve_make_ending(&ending, scales, shape->output_channels, params->rounding, params->output_offset,
                    params->activation_min, params->activation_max);
    for (int32_t batch = 0; batch < shape->batches; ++batch) {
        for (int32_t y = 0; y < shape->output_height; ++y) {
            const int32_t origin_y = y * params->stride_height - params->pad_top;
            for (int32_t x = 0; x < shape->output_width; ++x, output += shape->output_channels) {
                const int32_t origin_x = x * params->stride_width - params->pad_left;
                const int8_t *column = scratch;
                if (gather)
                    fast_gather(params, shape, origin_y, origin_x, input, scratch);
                else
                    column = input + (origin_y * shape->input_width + origin_x) * shape->input_channels;
                multiply_rows(&ending, shape->output_channels, taps, column, weights, folded,
                              offset_sum(params->input_offset, params->weights_offset, column, taps), output);
            }
        }
        input += shape->input_height * shape->input_width * shape->input_channels;
    }
    return 1;
}

#endif
