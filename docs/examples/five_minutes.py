# %% [markdown]
# # Which variant to ship, in five minutes
#
# On scikit-learn's bundled digits, with no data of your own and no board: build variants, run them on this machine, ask what to
# ship, and take the run into pandas. In an empty folder; results land in `./results`.

# %%
import harness

# %% [markdown]
# What there is. Every table is a pandas DataFrame.

# %%
devices = harness.devices()
devices.loc[["host-litert", "host-tflite"], ["title", "available", "backends"]]

# %%
harness.datasets().loc["mnist-cnn", "note"]

# %% [markdown]
# The variants. TensorFlow works in processes of its own; what is built once comes from the cache.

# %%
RECIPES = ["ptq-float32", "ptq-default", "ptq-int8-io"]
builds = harness.build("mnist-cnn", recipes=RECIPES)
builds.to_frame()[["recipe", "size_bytes", "refused"]]

# %% [markdown]
# Will they run? Said before anything is pushed: this old runtime lacks an operator version.

# %%
checks = harness.check([f"mnist-cnn:{recipe}" for recipe in RECIPES], devices="host-tflite", backends="cpu")
checks.to_frame()[["model", "loads", "right", "reasons"]]

# %% [markdown]
# Run them. `budget` shrinks samples, never cells.

# %%
run = harness.run("mnist-cnn", recipes=RECIPES, devices="host-litert", backends="cpu", budget="3s")
run

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

# %%
shipped = answer.save("ship")

# %% [markdown]
# Which layer loses what, and why. (What would be better? `harness.tune("mnist-cnn", device="host-litert", max_drop=0.01)`
# searches for it, layer by layer; it takes minutes.)

# %%
why = harness.explain("mnist-cnn/ptq-int8-io/host-litert/cpu", limit="5s")
why

# %%
why.to_frame()[["op", "own_db", "sqnr_db", "score_delta_regained", "cost"]]

# %% [markdown]
# Everything is stored. Tomorrow, in another process:

# %%
again = harness.load_run("latest")
wrong = again.answers("mnist-cnn/ptq-int8-io/host-litert/cpu").query("not right")
wrong.head()
