/* A stand-in for tests: it has ADD, and takes note of how many ops were added. */
#ifndef STAND_IN_MUTABLE_OP_RESOLVER_H
#define STAND_IN_MUTABLE_OP_RESOLVER_H

#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite
{

template <unsigned Most>
class MicroMutableOpResolver : public MicroOpResolver
{
  public:
    const void *FindOp(BuiltinOperator code) const override
    {
        return code == BuiltinOperator_ADD && count_ ? this : nullptr;
    }
    const void *FindOp(const char *) const override
    {
        return nullptr;
    }

#define STAND_IN_OP(name)                                                                                              \
    TfLiteStatus Add##name()                                                                                           \
    {                                                                                                                  \
        return count_++ < Most ? kTfLiteOk : kTfLiteError;                                                             \
    }
    STAND_IN_OP(Add)
    STAND_IN_OP(AveragePool2D)
    STAND_IN_OP(Concatenation)
    STAND_IN_OP(Conv2D)
    STAND_IN_OP(DepthwiseConv2D)
    STAND_IN_OP(Dequantize)
    STAND_IN_OP(ExpandDims)
    STAND_IN_OP(FullyConnected)
    STAND_IN_OP(HardSwish)
    STAND_IN_OP(LeakyRelu)
    STAND_IN_OP(Logistic)
    STAND_IN_OP(MaxPool2D)
    STAND_IN_OP(Maximum)
    STAND_IN_OP(Mean)
    STAND_IN_OP(Minimum)
    STAND_IN_OP(Mul)
    STAND_IN_OP(Pack)
    STAND_IN_OP(Pad)
    STAND_IN_OP(PadV2)
    STAND_IN_OP(Quantize)
    STAND_IN_OP(Relu)
    STAND_IN_OP(Relu6)
    STAND_IN_OP(Reshape)
    STAND_IN_OP(ResizeNearestNeighbor)
    STAND_IN_OP(Shape)
    STAND_IN_OP(Slice)
    STAND_IN_OP(Softmax)
    STAND_IN_OP(Split)
    STAND_IN_OP(SplitV)
    STAND_IN_OP(Squeeze)
    STAND_IN_OP(StridedSlice)
    STAND_IN_OP(Sub)
    STAND_IN_OP(Tanh)
    STAND_IN_OP(Transpose)
    STAND_IN_OP(Unpack)
#undef STAND_IN_OP

  private:
    unsigned count_ = 0;
};

} // namespace tflite

#endif
