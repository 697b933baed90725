/* ADD and SUB for MVE: four elements at a time, in a tail-predicated loop. */
#include "fast.h"

#if defined(__ARM_FEATURE_MVE)

#include "fast_mve.h"
#include "walk.h"

static inline __attribute__((always_inline)) int32x4_t scale(int32x4_t values, int32_t multiplier, int32_t shift)
{
    /* One shift for all lanes, to the right or none: no need for a mask per lane. */
    values = vqrdmulhq_n_s32(values, multiplier);
    if (shift < 0)
        values = vrshlq_n_s32(vqaddq_s32(values, vshrq_n_s32(values, 31)), shift);
    return values;
}

static __attribute__((optimize("O2"))) void add_run(const kn_add_params *p, int32_t sign, int32_t count,
                                                    const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const int32x4_t low = vdupq_n_s32(p->activation_min), high = vdupq_n_s32(p->activation_max);
    const int32_t multiplier1 = p->input1_multiplier, multiplier2 = p->input2_multiplier;
    for (; count > 0; count -= 4, input1 += 4, input2 += 4, output += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)count);
        int32x4_t one = vshlq_n_s32(vaddq_n_s32(vldrbq_z_s32(input1, lanes), p->input1_offset), 20);
        int32x4_t two = vshlq_n_s32(vaddq_n_s32(vldrbq_z_s32(input2, lanes), p->input2_offset), 20);
        one = scale(one, multiplier1, p->input1_shift);
        two = scale(two, multiplier2, p->input2_shift);
        one = scale(sign > 0 ? vaddq_s32(one, two) : vsubq_s32(one, two), p->output_multiplier, p->output_shift);
        one = vminq_s32(vmaxq_s32(vaddq_n_s32(one, p->output_offset), low), high);
        vstrbq_p_s32(output, one, lanes);
    }
}

int fast_add(const kn_add_params *params, const kn_broadcast *broadcast, int32_t sign, const int8_t *input1,
             const int8_t *input2, int8_t *output)
{
    const int32_t last = broadcast->rank - 1, count = broadcast->dims[last];
    int32_t index1[KN_MAX_RANK] = {0}, index2[KN_MAX_RANK] = {0}, at1 = 0, at2 = 0;
    if (broadcast->strides1[last] != 1 || broadcast->strides2[last] != 1 || params->rounding != KN_ROUND_DOUBLE ||
        params->left_shift != 20 || params->input1_shift > 0 || params->input2_shift > 0 || params->output_shift > 0)
        return 0;
    do {
        add_run(params, sign, count, input1 + at1, input2 + at2, output);
        output += count;
        kn_walk_next(last, broadcast->dims, broadcast->strides1, index1, &at1);
    } while (kn_walk_next(last, broadcast->dims, broadcast->strides2, index2, &at2));
    return 1;
}

#endif
