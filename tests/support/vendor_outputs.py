"""What TensorFlow Lite's `benchmark_model` prints, in the layouts of three of its versions; the figures are of small networks."""
# ruff: noqa: E501 - lines are as long as the tool prints them

_HEAD = """STARTING!
Log parameter values verbosely: [0]
Min num runs: [50]
Num threads: [1]
Graph: [/home/root/model.tflite]
#threads used for CPU inference: [1]
Loaded model /home/root/model.tflite
"""
_NOTE = (
    "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint"
    " of the model at runtime. Take the information at your discretion.\n"
    "Memory footprint delta from the start of the tool (MB): init=1.42188 overall=1.92969\n"
)

#: TensorFlow 2.9 (with `[start]`), on the CPU, no profiling; the warm-up was a single inference
PLAIN = (
    _HEAD
    + """The input model file size (MB): 0.02356
Initialized session in 0.771ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=1512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 5 seconds.
count=50 first=1290275 curr=1213402 min=1127568 max=1389954 avg=1.25034e+06 std=59798

Inference timings in us: Init: 771, First inference: 1512391, Warmup (avg): 1.51239e+06, Inference (avg): 1.25034e+06
"""
    + _NOTE
)

#: the same version with --enable_op_profiling=true
PROFILED = (
    _HEAD
    + """Enable op profiling: [1]
The input model file size (MB): 0.02356
Initialized session in 0.801ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=488 first=1187 curr=1011 min=1001 max=1187 avg=1020.17 std=14

Running benchmark for at least 10 iterations and at least 0.2 seconds but terminate if exceeding 2 seconds.
count=197 first=1016 curr=1013 min=1003 max=1066 avg=1014.36 std=7

Inference timings in us: Init: 801, First inference: 1187, Warmup (avg): 1020.17, Inference (avg): 1014.36
"""
    + _NOTE
    + """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    0.082\t    0.082\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    0.082\t    0.082\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Number of nodes executed: 1


Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.014\t    0.884\t    0.861\t 85.499%\t 85.499%\t     0.000\t        1\t[mnist/conv2d/Relu;mnist/conv2d/Conv2D]:0
\t             MAX_POOL_2D\t            0.878\t    0.047\t    0.044\t  4.369%\t 89.868%\t     0.000\t        1\t[mnist/max_pooling2d/MaxPool]:1
\t         FULLY_CONNECTED\t            0.925\t    0.109\t    0.102\t 10.132%\t100.000%\t     0.000\t        1\t[Identity]:2

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.014\t    0.884\t    0.861\t 85.499%\t 85.499%\t     0.000\t        1\t[mnist/conv2d/Relu;mnist/conv2d/Conv2D]:0

Number of nodes executed: 3
============================== Summary by node type ==============================
\t             [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]
\t                 CONV_2D\t        1\t     0.861\t    85.502%\t    85.502%\t     0.000\t        1

Timings (microseconds): count=197 first=1040 curr=1007 min=997 max=1061 avg=1007.41 std=8
Memory (bytes): count=0
3 nodes observed
"""
)

#: a later version: log prefixes, percentiles in the statistics, no `[start]`; a delegate took two of three nodes
DELEGATED = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/home/root/model.tflite]
INFO: Enable op profiling: [1]
INFO: External delegate path: [/usr/lib/libvx_delegate.so]
INFO: Loaded model /home/root/model.tflite
INFO: Vx delegate: allowed_cache_mode set to 0.
INFO: EXTERNAL delegate created.
INFO: Explicitly applied EXTERNAL delegate, and the model graph will be partially executed by the delegate w/ 1 delegate kernels.
INFO: The input model file size (MB): 0.02356
INFO: Initialized session in 14.21ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr=4130882 p5=4130882 median=4130882 p95=4130882

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 5 seconds.
INFO: count=2254 first=431 curr=425 min=411 max=899 avg=443.311 std=22 p5=415 median=436 p95=468

INFO: Inference timings in us: Init: 14210, First inference: 4130882, Warmup (avg): 4.13088e+06, Inference (avg): 443.311
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t             Vx Delegate\t    0.327\t    0.331\t 75.920%\t 75.920%\t     0.000\t        1\t[mnist/max_pooling2d/MaxPool]:3
\t         FULLY_CONNECTED\t    0.104\t    0.105\t 24.080%\t100.000%\t     0.000\t        1\t[Identity]:2

Number of nodes executed: 2
"""
