/* A stand-in for tests. */
#ifndef STAND_IN_SCHEMA_UTILS_H
#define STAND_IN_SCHEMA_UTILS_H

#include "tensorflow/lite/schema/schema_generated.h"

namespace tflite
{
BuiltinOperator GetBuiltinCode(const OperatorCode *code);
}

#endif
