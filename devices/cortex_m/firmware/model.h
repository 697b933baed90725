/* The loaded model: its tensors as two rows of bytes, its inference as one measured call. */
#ifndef FIRMWARE_MODEL_H
#define FIRMWARE_MODEL_H

#include "../protocol/protocol.h"
#include "../runtime/runtime.h"
#include "watch.h"

/* Makes the model in the port's model memory ready. Returns SP_OK or fills in the error. */
uint16_t model_load(uint32_t model_bytes, sp_answer *answer);
void model_unload(void);

/* Where its tensors are: the fastest memory that they fit into. The port's largest arena without a model. */
rt_tensor model_arena(void);
int model_loaded(void);

/* The answer to COMMIT. Returns 0 when there are too many tensors for it. */
int model_tell(sp_answer *answer);

/* All inputs, or all outputs, one after the other. */
uint32_t model_input_bytes(void);
uint32_t model_output_bytes(void);

/* The caller has checked the range against the sums above. */
void model_set_inputs(uint32_t offset, const uint8_t *data, uint32_t count);
void model_get_outputs(uint32_t offset, uint8_t *data, uint32_t count);

/* One inference, from the model's initial state unless `carry` is set; `ticks` is the time of rt_invoke alone. Ends in
 * a reset of the board when its deadline passes (watch.h). */
uint16_t model_run(int carry, watch_deadline deadline, uint64_t *ticks, sp_answer *answer);

#endif
