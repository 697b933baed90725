/* Random layers for the fast kernels: shapes, parameters and data from one seed. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include "fast.h"

enum { CASE_CONV, CASE_DEPTHWISE, CASE_FULLY_CONNECTED, CASE_KINDS };
enum { MAX_CHANNELS = 640 };

typedef struct {
    int kind;
    kn_conv_params params; /* of all kinds, as far as they go */
    kn_conv_shape shape;
    kn_fully_connected_params dense;
    int32_t input_bytes, weights_bytes, output_bytes;
    int32_t multipliers[MAX_CHANNELS], shifts[MAX_CHANNELS], bias[MAX_CHANNELS], folded[MAX_CHANNELS];
    int32_t with_bias;
    kn_channel_scales scales;
} layer_case;

void cases_seed(uint32_t seed);
uint32_t cases_random(void);
/* low..high, both included. */
int32_t cases_between(int32_t low, int32_t high);

/* A layer whose three tensors have at most `limit` bytes each. */
void cases_layer(layer_case *layer, int kind, int32_t limit);
/* ADD of tensors of one or two dimensions: dense, or the second one repeated along either. */
void cases_add(kn_add_params *params, kn_broadcast *broadcast);
/* Bytes, with the ends of the range more often than chance. */
void cases_fill(int8_t *to, int32_t count);
/* Fills layer->folded for these weights, as the host does. */
void cases_fold(layer_case *layer, const int8_t *weights);

#endif
