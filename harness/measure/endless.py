"""Models that never end: a loop of their own (WHILE) goes on until a condition holds, which may be never.

Such a model is found out where it is run first, by the references on this machine, and costs one limit: no other runtime is
asked, and nothing is pushed. A model without a loop ends; one that is late is slow.
"""

from __future__ import annotations

from pathlib import Path

from harness.boards.base import WorkerFailure


class NoEndError(Exception):
    """A model with a loop had not answered in time; the text says so in one sentence."""


def raise_endless(failure: WorkerFailure, model: Path, *, runtime: str, limit_s: float) -> None:
    """Looks at how a reference ended.

    Args:
        model: the .tflite that was asked about, of which the reference may have run another form.
        runtime: what ran, for the sentence.
        limit_s: how long one inference had.

    Raises:
        NoEndError: it was ended within an inference, and the model has a loop.
    """
    from harness.tflite.graph import read_graph
    from harness.tflite.state import has_loop

    if failure.kind != "deadline" or failure.phase not in ("first_invoke", "evaluate"):
        return
    if has_loop(read_graph(model)):
        sample = "the first sample" if failure.phase == "first_invoke" else "one of the samples"
        raise NoEndError(
            f"its loop (WHILE) had not ended after {limit_s:g} s for {sample} on this machine ({runtime}); "
            "--deadline (run, measure) sets the limit"
        ) from failure
