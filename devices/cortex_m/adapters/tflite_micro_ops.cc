#include "tflite_micro_ops.h"

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace
{

using Status = TfLiteStatus;

/* One call each, so that the linker takes no kernel but these. */
template <class Resolver>
Status add_all(Resolver &ops)
{
    const Status added[] = {
        ops.AddConv2D(),
        ops.AddDepthwiseConv2D(),
        ops.AddFullyConnected(),
        ops.AddMaxPool2D(),
        ops.AddAveragePool2D(),
        ops.AddMean(),
        ops.AddAdd(),
        ops.AddSub(),
        ops.AddMul(),
        ops.AddMaximum(),
        ops.AddMinimum(),
        ops.AddSoftmax(),
        ops.AddLogistic(),
        ops.AddTanh(),
        ops.AddHardSwish(),
        ops.AddRelu(),
        ops.AddRelu6(),
        ops.AddLeakyRelu(),
        ops.AddReshape(),
        ops.AddSqueeze(),
        ops.AddExpandDims(),
        ops.AddConcatenation(),
        ops.AddPad(),
        ops.AddPadV2(),
        ops.AddTranspose(),
        ops.AddSlice(),
        ops.AddStridedSlice(),
        ops.AddSplit(),
        ops.AddSplitV(),
        ops.AddPack(),
        ops.AddUnpack(),
        ops.AddShape(),
        ops.AddResizeNearestNeighbor(),
        ops.AddQuantize(),
        ops.AddDequantize(),
    };
    for (const Status status : added)
        if (status != kTfLiteOk)
            return status;
    return kTfLiteOk;
}

constexpr unsigned kMost = 35;
using Resolver = tflite::MicroMutableOpResolver<kMost>;

struct Place {};
alignas(Resolver) uint8_t space[sizeof(Resolver)];
const Resolver *resolver;

} // namespace

/* Made in `space`: a static object with a constructor would need code before main(). */
inline void *operator new(size_t, Place, void *at)
{
    return at;
}

const tflite::MicroOpResolver *tflm_ops()
{
    if (!resolver) {
        Resolver *const made = new (Place(), space) Resolver();
        if (add_all(*made) == kTfLiteOk)
            resolver = made;
    }
    return resolver;
}
