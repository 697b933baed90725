/* A stand-in for tests: an interpreter that does what the "model" tells (stand_in.cc). */
#ifndef STAND_IN_INTERPRETER_H
#define STAND_IN_INTERPRETER_H

#include "tensorflow/lite/micro/micro_op_resolver.h"

#ifndef TF_LITE_STATIC_MEMORY
#error "the adapter has to be compiled as the library is"
#endif

#define TFLITE_SCHEMA_VERSION (3)

struct TfLiteTensor {
    union {
        void *data;
        char *raw;
    } data;
    size_t bytes;
};

namespace tflite
{

class MicroInterpreter
{
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &ops, uint8_t *arena, size_t arena_bytes);
    ~MicroInterpreter();
    TfLiteStatus initialization_status() const
    {
        return kTfLiteOk;
    }
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteStatus Reset();
    size_t inputs_size() const
    {
        return 1;
    }
    size_t outputs_size() const
    {
        return 1;
    }
    TfLiteTensor *input(size_t)
    {
        return &input_;
    }
    TfLiteTensor *output(size_t)
    {
        return &output_;
    }
    size_t arena_used_bytes() const
    {
        return 64;
    }

  private:
    TfLiteStatus obey(const char *moment);

    const char *commands_;
    uint8_t *arena_;
    size_t arena_bytes_;
    TfLiteTensor input_, output_;
    int remembered_ = 0;
};

} // namespace tflite

#endif
