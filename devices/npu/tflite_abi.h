/* The part of TensorFlow Lite's C interface that an external delegate needs, written down for this project: neither the
 * runtime wheels nor the distributions ship the headers.
 *
 * Field order and types are the binary interface of tflite-runtime 2.14.0 and ai-edge-litert 2.3.0 (fields are only
 * ever appended there, so structures the runtime hands out may be longer than they are here). Only what is used is
 * named.
 */
#ifndef NPU_TFLITE_ABI_H
#define NPU_TFLITE_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TFL_OK = 0, TFL_ERROR = 1 };
/* tensor types; the numbers are those of the .tflite schema plus one */
enum { TFL_FLOAT32 = 1, TFL_INT32 = 2, TFL_UINT8 = 3, TFL_INT64 = 4, TFL_INT16 = 7, TFL_INT8 = 9, TFL_FLOAT16 = 10 };
/* allocation: constant data of the model file */
enum { TFL_CONSTANT = 1 };
/* quantization: TflAffine behind `quantization_params` */
enum { TFL_AFFINE = 1 };
/* The delegate takes models in which some tensors change their shape; the runtime works out shapes before `prepare`. */
enum { TFL_ALLOW_DYNAMIC = 1, TFL_PROPAGATE_SHAPES = 2 };

typedef struct {
    int size;
    int data[];
} TflInts;

typedef struct {
    int size;
    float data[];
} TflFloats;

typedef struct {
    TflFloats *scale;
    TflInts *zero_point;
    int32_t quantized_dimension;
} TflAffine;

typedef struct {
    int type;
    void *data; /* NULL inside a delegated partition */
    TflInts *dims;
    float scale; /* of per-tensor quantization */
    int32_t zero_point;
    int allocation;
    size_t bytes;
    const void *mapping;
    const char *name;
    struct TflDelegate *delegate;
    int buffer_handle;
    bool data_is_stale, is_variable;
    int quantization;
    void *quantization_params;
    void *sparsity;
    const TflInts *dims_signature;
} TflTensor;

typedef struct {
    TflInts *inputs, *outputs, *intermediates, *temporaries;
    void *user_data;
    void *builtin_data; /* one of the structures at the end of this file */
} TflNode;

struct TflContext;

typedef struct {
    void *(*init)(struct TflContext *, const char *buffer, size_t length);
    void (*free)(struct TflContext *, void *user_data);
    int (*prepare)(struct TflContext *, TflNode *);
    int (*invoke)(struct TflContext *, TflNode *);
    const char *(*profiling_string)(const struct TflContext *, const TflNode *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    /* It is passed by value, and newer runtimes read more fields than these: they must find zeros. */
    void *later_fields[16];
} TflRegistration;

typedef struct TflContext {
    size_t tensors_size;
    int (*GetExecutionPlan)(struct TflContext *, TflInts **plan);
    TflTensor *tensors;
    void *impl;
    int (*ResizeTensor)(struct TflContext *, TflTensor *, TflInts *size);
    void (*ReportError)(struct TflContext *, const char *format, ...);
    int (*AddTensors)(struct TflContext *, int count, int *first);
    int (*GetNodeAndRegistration)(struct TflContext *, int index, TflNode **, TflRegistration **);
    int (*ReplaceNodeSubsetsWithDelegateKernels)(struct TflContext *, TflRegistration, const TflInts *nodes,
                                                 struct TflDelegate *);
} TflContext;

typedef struct TflDelegate {
    void *data;
    int (*Prepare)(struct TflContext *, struct TflDelegate *);
    void *CopyFromBufferHandle, *CopyToBufferHandle, *FreeBufferHandle;
    int64_t flags;
    void *opaque_delegate_builder;
    void *later_fields[4];
} TflDelegate;

/* What `init` of a delegate kernel gets as its buffer. */
typedef struct {
    TflDelegate *delegate;
    TflInts *nodes_to_replace, *input_tensors, *output_tensors;
} TflDelegateParams;

/* Options of builtin operators. Paddings: 1 SAME, 2 VALID. Activations as in the schema (kn_activation). */
typedef struct {
    int padding, stride_width, stride_height, activation, dilation_width, dilation_height;
} TflConvOptions;
typedef struct {
    int padding, stride_width, stride_height, depth_multiplier, activation, dilation_width, dilation_height;
} TflDepthwiseOptions;
typedef struct {
    int padding, stride_width, stride_height, filter_width, filter_height, activation;
} TflPoolOptions;
typedef struct {
    int activation, weights_format;
} TflFullyConnectedOptions;
typedef struct {
    int activation;
} TflActivationOptions; /* ADD, SUB, MUL */
typedef struct {
    float value;
} TflFloatOptions; /* SOFTMAX: beta. LEAKY_RELU: alpha. */
typedef struct {
    int axis, activation;
} TflConcatenationOptions;
typedef struct {
    int begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask;
    bool offset;
} TflStridedSliceOptions;

#endif
