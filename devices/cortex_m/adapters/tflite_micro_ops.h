/* The ops that the adapter registers with TFLite Micro: those that networks for classification in int8 are made of. */
#ifndef CORTEX_M_TFLITE_MICRO_OPS_H
#define CORTEX_M_TFLITE_MICRO_OPS_H

#include "tensorflow/lite/micro/micro_op_resolver.h"

/* All of them; nullptr when the library would not take one (it has printed why). The object lives as long as the
 * program. */
const tflite::MicroOpResolver *tflm_ops();

#endif
