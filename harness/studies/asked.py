"""What a study is asked about: a float model with a score, which is looked at before anything is built."""

from __future__ import annotations

from harness.core.errors import UserInputError
from harness.run.options import RunOptions
from harness.variants.build.requests import make_requests
from harness.variants.build.tasks import BuildRequest
from harness.workloads.base import Workload


def studied(options: RunOptions, recipe: str) -> BuildRequest:
    """What the one workload of a study is built as.

    Args:
        recipe: one that the study tries.

    Raises:
        UserInputError: a finished .tflite, or a model without a score.
    """
    (name,) = options.workloads
    request = make_requests([name], [recipe], [0], options.data_dir, options.data, options.metric)[0]
    _require_scored(request.workload)
    return request


def _require_scored(workload: Workload) -> None:
    if workload.build_model is None:
        raise UserInputError(
            "a finished .tflite is calibrated already, and a study converts the float model again and again",
            where=workload.name,
            hint="give the float model it was made of",
        )
    if workload.metric is None:
        raise UserInputError(
            "a study compares scores: without labels there is none",
            where=workload.model_path or workload.name,
            hint="give x_test and y_test (and x_train, y_train) in the .npz",
        )
