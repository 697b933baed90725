# %% [markdown]
# # Two nights, compared in pandas
#
# A night is a run (`harness nightly` makes one with its control cells and its history). Here two are made: between them somebody
# replaced the model's file. What got worse, by how much, and on which samples?

# %%
import shutil

import numpy as np

import harness

builds = harness.build("mnist-cnn", recipes=["ptq-wo8", "ptq-float32"])
x = np.random.default_rng(0).random((200, 28, 28), dtype=np.float32)
settings = {"devices": "host-litert", "backends": "cpu", "budget": "2s", "data": {"x_test": x}}

# %%
shutil.copy(builds.path("ptq-wo8"), "net.tflite")
before = harness.measure("net.tflite", **settings)

# %%
shutil.copy(builds.path("ptq-float32"), "net.tflite")
after = harness.measure("net.tflite", **settings)

# %% [markdown]
# What the harness says of it: outcomes, sizes and placement exactly, scores paired on the same samples, times as far as two
# runs can tell.

# %%
comparison = harness.compare(before, after)
comparison

# %%
verdicts = comparison.to_frame()
verdicts[["status", "quantity", "cell", "before", "after", "reason"]]

# %% [markdown]
# The same figures side by side, for whatever else you want to know.

# %%
CELL = ["workload", "recipe", "device", "backend", "seed"]
FIGURES = ["outcome", "size_bytes", "latency_median_ns", "input_dtype"]
first, second = (night.to_frame().set_index(CELL)[FIGURES] for night in (before, after))
nights = first.merge(second, left_index=True, right_index=True, suffixes=("", "_after"))
nights["size_ratio"] = nights["size_bytes_after"] / nights["size_bytes"]
nights.T

# %% [markdown]
# Raw times of both, in microseconds.

# %%
times = {
    name: night.latencies_ns("net/as-is/host-litert/cpu") / 1e3
    for name, night in (("before", before), ("after", after))
}
{name: np.percentile(values, [10, 50, 90]).round(1).tolist() for name, values in times.items()}
