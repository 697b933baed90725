/* ADD and SUB for cores with the DSP extension: four elements at a time, every requantization in line.
 *
 * The input with the larger scale has the factor 1/2 (kn_add_params: half of twice the larger scale), which is a shift;
 * only the other one is multiplied. */
#include "fast.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "fast_dsp.h"
#include "walk.h"

typedef struct {
    int32_t factor, start; /* of the multiplied input: value * factor + start is its double, left shift included */
    int32_t multiplier;    /* SMMULR's */
    int32_t half, right;   /* the rounding shift behind it */
    int32_t sign;          /* -1: what was multiplied is subtracted */
    int32_t plain_factor;  /* 2^19, or -2^19: of the input that is only shifted */
    int32_t twice_start;   /* twice what the offset of that input adds to the sum */
    int32_t output_multiplier, output_nudge, output_right; /* dsp_scale's */
    uint32_t low, high;
} addition;

/* One of the two inputs. */
typedef struct {
    int32_t offset, multiplier, shift, sign;
    const int8_t *values;
    const int32_t *strides;
} operand;

static int is_half(const operand *input)
{
    return input->multiplier == 1 << 30 && input->shift == 0;
}

static void prepare(addition *a, const kn_add_params *p, const operand *scaled, const operand *plain)
{
    /* A factor of 1/2 has no shift to round at: twice the value, and a shift by 1 that drops a 0. */
    const int32_t up = scaled->shift ? 21 : 22;
    a->factor = 1 << up;
    a->start = scaled->offset * a->factor;
    a->multiplier = scaled->multiplier;
    a->right = scaled->shift ? -scaled->shift : 1;
    a->half = 1 << (a->right - 1);
    a->sign = scaled->sign;
    a->plain_factor = plain->sign * (1 << 19);
    a->twice_start = plain->offset * a->plain_factor * 2;
    a->output_multiplier = p->output_multiplier;
    a->output_nudge = (2 * p->output_offset + 1) * (1 << ~p->output_shift);
    a->output_right = -p->output_shift;
    a->low = ((uint32_t)p->activation_min & 0xFFu) * 0x01010101u;
    a->high = ((uint32_t)p->activation_max & 0xFFu) * 0x01010101u;
}

static inline __attribute__((always_inline)) int32_t add_one(const addition *a, int32_t scaled, int32_t plain)
{
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(scaled * a->factor + a->start), "r"(a->multiplier));
    high = ((high + (high >> 31)) + a->half) >> a->right;
    const int32_t sum = plain * a->plain_factor + high * a->sign;
    return dsp_scale(2 * sum + a->twice_start, a->output_multiplier, a->output_nudge, a->output_right);
}

static inline __attribute__((always_inline)) int32_t byte_of(uint32_t word, int32_t index)
{
    return (int8_t)(word >> (8 * index));
}

static __attribute__((optimize("O2"))) void add_run(const addition *given, int32_t count, const int8_t *scaled,
                                                    const int8_t *plain, int8_t *output)
{
    const addition a = *given;
    for (; count > 0; count -= 4, scaled += 4, plain += 4, output += 4) {
        const uint32_t s = count >= 4 ? fast_load(scaled) : dsp_load_tail(scaled, count);
        const uint32_t p = count >= 4 ? fast_load(plain) : dsp_load_tail(plain, count);
        uint32_t bytes = dsp_pack(a.low, a.high, add_one(&a, byte_of(s, 0), byte_of(p, 0)),
                                  add_one(&a, byte_of(s, 1), byte_of(p, 1)), add_one(&a, byte_of(s, 2), byte_of(p, 2)),
                                  add_one(&a, byte_of(s, 3), byte_of(p, 3)));
        if (count >= 4) {
            fast_store(output, bytes);
            continue;
        }
        for (int32_t i = 0; i < count; ++i, bytes >>= 8)
            output[i] = (int8_t)bytes;
    }
}

int fast_add(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int8_t *input1,
             const int8_t *input2, int8_t *output)
{
    const int32_t last = broadcast->rank - 1, count = broadcast->dims[last];
    operand plain = {params->input1_offset, params->input1_multiplier, params->input1_shift, 1, input1,
                     broadcast->strides1};
    operand scaled = {params->input2_offset, params->input2_multiplier, params->input2_shift, sign, input2,
                      broadcast->strides2};
    int32_t plain_index[KN_MAX_RANK] = {0}, scaled_index[KN_MAX_RANK] = {0}, plain_at = 0, scaled_at = 0;
    addition a;
    if (!is_half(&plain)) {
        const operand first = plain;
        plain = scaled;
        scaled = first;
    }
    if (broadcast->strides1[last] != 1 || broadcast->strides2[last] != 1 || !is_half(&plain) ||
        params->rounding != KN_ROUND_DOUBLE || params->left_shift != 20 || (uint32_t)~params->output_shift >= 20u ||
        ((uint32_t)~scaled.shift >= 20u && !is_half(&scaled)))
        return 0;
    prepare(&a, params, &scaled, &plain);
    do {
        add_run(&a, count, scaled.values + scaled_at, plain.values + plain_at, output);
        output += count;
        kn_walk_next(last, broadcast->dims, plain.strides, plain_index, &plain_at);
    } while (kn_walk_next(last, broadcast->dims, scaled.strides, scaled_index, &scaled_at));
    return 1;
}

#endif
