/* A stand-in for tests. */
#ifndef STAND_IN_OP_RESOLVER_H
#define STAND_IN_OP_RESOLVER_H

#include "tensorflow/lite/schema/schema_generated.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite
{

class MicroOpResolver
{
  public:
    virtual const void *FindOp(BuiltinOperator code) const = 0;
    virtual const void *FindOp(const char *custom) const = 0;
};

} // namespace tflite

#endif
