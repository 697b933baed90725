"""The plan of `harness measure`: one finished model, with the user's data or with random inputs."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.core.formats import HDF5, KERAS, format_of_file
from harness.core.utf8 import require_text_name
from harness.prepare.prepared import PreparedModel, Say
from harness.run.matrix import Plan, choose_devices, key_of, make_plan
from harness.run.options import RunOptions
from harness.run.plan import prepare_without_data
from harness.tflite.graph import read_graph
from harness.variants.artifact import AS_IS
from harness.variants.build.build import artifact_from_file
from harness.variants.build.keys import model_digest
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.finished import is_finished
from harness.workloads.registry import get_workload
from harness.workloads.user import workload_name

#: how many random inputs stand in for data; the reference is asked about all of them
RANDOM_SAMPLES = 256


def measure_plan(options: RunOptions, random_samples: int) -> Plan:
    """One model on the chosen devices.

    Args:
        options: `workloads` holds the model's path, `data` the samples' path or None.
        random_samples: how many random inputs to make when there is no data.

    Raises:
        UserInputError: when the model or the data cannot be read, or do not fit each other.
    """
    path = Path(options.workloads[0])
    require_text_name(path)
    if not is_finished(path):
        raise _no_tflite(path)
    artifact = artifact_from_file(path)
    devices = choose_devices(options)
    several = len(artifact.inputs) > 1
    if options.data is not None:
        return make_plan(options, devices)
    if several and options.metric is not None:
        raise UserInputError(f"the metric '{options.metric}' needs samples with labels", hint="give an .npz by --data")
    if several:
        refuse_open_inputs(read_graph(artifact.file))
    count = options.samples or random_samples
    base = PreparedModel(
        workload=workload_name(path) if several else get_workload(str(path), metric=options.metric).name,
        metric=None,
        recipe=AS_IS,
        seed=0,
        artifact=artifact,
        dataset_name="random",
        dataset_note=f"{count} random inputs in the model's input types; agreement with the reference instead of accuracy",
        dataset_digest=sha256_json(["random", artifact.sha256, count]),
        model_sha256=model_digest(path),
    )
    keys = tuple(key_of(base, c.device, backend) for c in devices for backend in c.backends)

    def prepare(say: Say) -> list[PreparedModel]:
        limit_s = options.deadline_s
        return [prepare_without_data(path, samples=count, seed=0, base=base, say=say, inference_s=limit_s)]

    return Plan(keys=keys, prepare=prepare)


def _no_tflite(path: Path) -> UserInputError:
    """What to say of another file where a finished .tflite is asked for."""
    found = None if path.is_dir() else format_of_file(path)
    if found in (None, HDF5, KERAS):
        hint = f"quantize a float model with `harness run --workload {path} --data samples.npz`"
        return UserInputError("is no finished .tflite", where=str(path), hint=hint)
    return UserInputError(f"is {found.words}, expected a finished .tflite", where=str(path), hint=found.hint)
