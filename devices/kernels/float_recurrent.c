/* SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM of float32. */
#include "kernels.h"
#include "float_math.h"

#if KN_FLOATS

static float dot(const float *one, const float *two, int32_t count, float sum)
{
    for (; count > 0; --count)
        sum = KN_FMA(*one++, *two++, sum);
    return sum;
}

void kn_float_svdf(const kn_float_svdf_params *params, const float *input, const float *feature_weights,
                   const float *time_weights, const float *bias, float *state, float *output)
{
    const kn_float_svdf_params *const p = params;
    const int32_t units = p->filters / p->rank;
    for (int32_t batch = 0; batch < p->batches; ++batch, input += p->inputs) {
        const float *feature = feature_weights, *time = time_weights;
        for (int32_t unit = 0; unit < units; ++unit) {
            float sum = bias ? bias[unit] : 0.0f;
            for (int32_t left = p->rank; left > 0; --left) {
                for (int32_t i = 1; i < p->memory; ++i)
                    state[i - 1] = state[i];
                state[p->memory - 1] = dot(input, feature, p->inputs, 0.0f);
                sum = dot(state, time, p->memory, sum);
                feature += p->inputs;
                time += p->memory;
                state += p->memory;
            }
            *output++ = kn_float_clamp(sum, p->low, p->high);
        }
    }
}

enum { FORGET, CELL, OUTPUT, INPUT };

/* What one sequence is at: its step's input, and the hidden state before that step. */
typedef struct {
    const kn_float_lstm_params *params;
    const float *input_weights, *recurrent_weights, *bias;
    const float *input, *hidden;
} position;

/* A gate of a unit before its function. */
static float gate(const position *at, int32_t which, int32_t unit)
{
    const kn_float_lstm_params *const p = at->params;
    const int32_t row = which * p->units + unit;
    const float seen = dot(at->input, at->input_weights + row * p->inputs, p->inputs, at->bias[row]);
    return dot(at->hidden, at->recurrent_weights + row * p->units, p->units, seen);
}

/* One step of one sequence. The hidden state stays as it was until all units have read it. */
static void step(const position *at, float *hidden, float *cell, float *output)
{
    const kn_float_lstm_params *const p = at->params;
    for (int32_t unit = 0; unit < p->units; ++unit) {
        const float forget = kn_float_logistic(gate(at, FORGET, unit));
        const float let_in = p->gates > INPUT ? kn_float_logistic(gate(at, INPUT, unit)) : 1.0f - forget;
        float value = forget * cell[unit] + let_in * kn_float_tanh(gate(at, CELL, unit));
        if (p->cell_clip > 0.0f)
            value = kn_float_clamp(value, -p->cell_clip, p->cell_clip);
        cell[unit] = value;
        output[unit] = kn_float_logistic(gate(at, OUTPUT, unit)) * kn_float_tanh(value);
    }
    for (int32_t unit = 0; unit < p->units; ++unit)
        hidden[unit] = output[unit];
}

void kn_float_lstm(const kn_float_lstm_params *params, const float *input_weights, const float *recurrent_weights,
                   const float *bias, const float *input, float *state, float *output)
{
    const kn_float_lstm_params *const p = params;
    const int32_t sequence = p->time_major ? 1 : p->steps, moment = p->time_major ? p->batches : 1;
    float *const cells = state + p->batches * p->units;
    for (int32_t batch = 0; batch < p->batches; ++batch)
        for (int32_t time = 0; time < p->steps; ++time) {
            const int32_t row = batch * sequence + time * moment;
            float *const hidden = state + batch * p->units;
            const position at = {p, input_weights, recurrent_weights, bias, input + row * p->inputs, hidden};
            step(&at, hidden, cells + batch * p->units, output + row * p->units);
        }
}

#endif
