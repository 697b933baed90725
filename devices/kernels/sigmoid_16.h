/* LOGISTIC and TANH of 16 bits as LSTM has them: by an exponential and a division in fixed point, not by tables.
 *
 * Every number is int16 with so many integer bits (Qm.n). The arithmetic, its constants and its roundings are
 * gemmlowp's (fixedpoint.h: exp_on_negative_values, logistic, tanh), in which TensorFlow Lite defines the gates of an
 * integer LSTM: another way to the same function differs in the last bit.
 */
#ifndef KERNELS_SIGMOID_16_H
#define KERNELS_SIGMOID_16_H

#include <stdint.h>

/* 1 / (1 + exp(-x)) in Q0.15 of x in Q3.12. */
int16_t kn_gate_logistic(int16_t x);

/* tanh(x) in Q0.15 of x with `integer_bits` 0..6. */
int16_t kn_gate_tanh(int16_t x, int32_t integer_bits);

#endif
