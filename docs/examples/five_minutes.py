# %% [markdown]
# # From `init` to `export` in five minutes
#
# The whole walk with a model file and samples of your own, on this machine, without a board: look at both, run the variants, ask
# what to ship, why it loses what it loses, search for a better one, and ship what was measured. In an empty folder.

# %%
import subprocess
import sys
from pathlib import Path

import harness

# %% [markdown]
# A model file and samples. These are scikit-learn's bundled digits; this script stands for your own training.

# %%
TRAINING = """
import numpy as np, tf_keras as keras
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order].reshape(-1, 8, 8, 1).astype("float32"), y[order]
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    keras.layers.Rescaling(1 / 16),
    keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="first"),
    keras.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="second"),
    keras.layers.Flatten(),
    keras.layers.Dense(10, activation="softmax", name="head"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x[:1000], y[:1000], batch_size=32, epochs=10, verbose=0)
model.save("digits.h5")
np.savez("digits.npz", x_train=x[:1000], y_train=y[:1000], x_test=x[1000:], y_test=y[1000:])
"""
subprocess.run([sys.executable, "-c", TRAINING], check=True, capture_output=True)

# %% [markdown]
# `init` looks at both, asks nothing, and writes `harness.toml` with what it saw. From here on every call in this folder takes it.

# %%
project = harness.init("digits.h5", "digits.npz")
project.summary

# %%
Path("harness.toml").read_text().splitlines()[:12]

# %% [markdown]
# Run the variants on this machine. `budget` shrinks samples, never cells.

# %%
RECIPES = ["ptq-float32", "ptq-default", "ptq-int8-io"]
run = harness.run(recipes=RECIPES, devices="host-litert", backends="cpu", budget="4s")
run.project

# %%
cells = run.to_frame()
cells[["recipe", "outcome", "score", "score_low", "score_high", "latency_median_ns", "size_bytes"]]

# %% [markdown]
# What to ship, and how that is known.

# %%
answer = harness.recommend(run, max_drop=0.02, prefer="size")
answer

# %%
answer.to_frame()[["role", "recipe", "score", "delta", "p", "size_bytes", "why"]]

# %% [markdown]
# Which layer loses what, why, and what to try.

# %%
why = harness.explain("digits/ptq-int8-io/host-litert/cpu", limit="5s")
why

# %%
why.to_frame()[["op", "own_db", "sqnr_db", "score_delta_regained", "cost"]]

# %% [markdown]
# Is there a better one? A short search, layer by layer: cheap errors order the candidates, this machine decides, and samples that
# the search did not see prove the result. Give it ten minutes for a network of your own.

# %%
tuned = harness.tune(device="host-litert", backends="cpu", prefer="size", budget="75s", trials=1, samples=200)
tuned

# %%
tuned.to_frame()[["stage", "role", "recipe", "score", "size_bytes"]]

# %% [markdown]
# Ship what was measured, by its hash: the .tflite, the settings it was measured with, a loader, and a self-test that holds the
# runtime on the target against the outputs that were measured here.

# %%
recipe = answer.picks["digits", "host-litert"]
exported = harness.export(f"digits/{recipe}/host-litert/cpu", "ship")
sorted(path.name for path in exported.folder.iterdir())

# %%
selftest = subprocess.run(
    [sys.executable, "selftest.py"], cwd=exported.folder, check=True, capture_output=True, text=True
)
selftest.stdout
