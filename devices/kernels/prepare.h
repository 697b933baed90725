/* Host-side preparation of kernel parameters, in double and float arithmetic: for a program that has the model at hand
 * and a floating-point unit, such as the NPU stand-in. A microcontroller gets these numbers made on the host, by
 * harness/tflite/quantized_params.py, which computes the same to the bit.
 *
 * The order of operations and the precision of each (float or double) are those of TensorFlow Lite 2.14; a multiplier
 * that differs in its last bit gives different outputs. docs/internals/kernels.md lists them.
 */
#ifndef KERNELS_PREPARE_H
#define KERNELS_PREPARE_H

#include "kernels.h"

/* Fused activations, with the numbers of the .tflite schema. */
enum kn_activation { KN_ACT_NONE = 0, KN_ACT_RELU = 1, KN_ACT_RELU_N1_TO_1 = 2, KN_ACT_RELU6 = 3 };

/* Every function below returns 1, or 0 where the reference would refuse the values as well (the text says which). */

/* multiplier and shift of requantize.h for any real number; below 2^-32 it becomes 0. 0 if it needs a shift over 30. */
int kn_prepare_multiplier(double real, int32_t *multiplier, int32_t *shift);

/* The int8 range that a fused activation leaves. 0 for an activation that is none of the above. */
int kn_prepare_activation_range(int32_t activation, float scale, int32_t zero_point, int32_t *low, int32_t *high);

/* CONV_2D, DEPTHWISE_CONV_2D and per-channel FULLY_CONNECTED of int8 models: the product of scales in double. */
int kn_prepare_channel_scales(float input_scale, int32_t count, const float *weights_scales, float output_scale,
                              int32_t *multipliers, int32_t *shifts);

/* Per-tensor FULLY_CONNECTED, and all of them in uint8 models: the product of scales in float. */
int kn_prepare_tensor_scale(float input_scale, float weights_scale, float output_scale, int32_t *multiplier,
                            int32_t *shift);

/* Output length and leading padding along one dimension. same: 1 for SAME, 0 for VALID padding. 0 if nothing is left.
 */
int kn_prepare_padding(int32_t same, int32_t input, int32_t filter, int32_t stride, int32_t dilation, int32_t *output,
                       int32_t *before);

/* ADD and SUB: everything but rounding. 0 if the output scale is too small against the inputs'. */
int kn_prepare_add(float scale1, int32_t zero_point1, float scale2, int32_t zero_point2, float output_scale,
                   int32_t output_zero_point, int32_t activation, kn_add_params *params);

/* MUL: everything but rounding. */
int kn_prepare_mul(float scale1, int32_t zero_point1, float scale2, int32_t zero_point2, float output_scale,
                   int32_t output_zero_point, int32_t activation, kn_mul_params *params);

/* MEAN: multiplier and shift with the division by the number of reduced elements (>= 1) folded in. */
int kn_prepare_mean(float input_scale, float output_scale, int64_t elements, int32_t *multiplier, int32_t *shift);

/* RELU, RELU6, RELU_N1_TO_1 as ops of their own; KN_ACT_NONE gives QUANTIZE from int8 to int8 (whose ratio of scales is
 * taken in double, the RELU family's in float). Everything but rounding. */
int kn_prepare_rescale(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                       int32_t activation, kn_rescale_params *params);

int kn_prepare_leaky_relu(float input_scale, int32_t input_zero_point, float alpha, float output_scale,
                          int32_t output_zero_point, kn_leaky_relu_params *params);

/* 0 if the output scale is under 1/128 of the input scale. */
int kn_prepare_hard_swish(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                          kn_hard_swish_params *params);

/* SOFTMAX: everything but rows and depth. 0 if beta * input_scale is not over 2^-26. */
int kn_prepare_softmax(float input_scale, float beta, kn_softmax_params *params);

/* Tables for kn_lookup. */
void kn_prepare_logistic_table(float input_scale, int32_t input_zero_point, float output_scale,
                               int32_t output_zero_point, int8_t table[256]);
void kn_prepare_tanh_table(float input_scale, int32_t input_zero_point, float output_scale, int32_t output_zero_point,
                           int8_t table[256]);

/* The table by which CONCATENATION of a uint8 model brings an input to the output's scale (zero points lowered by 128
 * as everywhere). */
void kn_prepare_concatenation_table(float input_scale, int32_t input_zero_point, float output_scale,
                                    int32_t output_zero_point, int8_t table[256]);

#endif
