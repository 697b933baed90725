"""What samples are, in whatever form they come, and whether a model takes them; in sentences for a reader."""

from __future__ import annotations

from pathlib import Path

from harness.workloads.datasets import DataSource
from harness.workloads.input_names import ModelInput
from harness.workloads.npz_report import describe_npz
from harness.workloads.sources.imported import import_data, is_plain_npz


def described_samples(data: Path, *, model: Path | None = None) -> list[str]:
    """Reads and checks samples.

    Args:
        data: an .npz, a .csv, a folder of images or sounds, or `module:function`.
        model: that they are to fit; None: they are looked at by themselves.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    data = data.expanduser().absolute()
    lines = []
    inputs: tuple[ModelInput, ...] = ()
    if model is not None:
        from harness.workloads.user import model_ends, user_workload

        inputs = model_ends(model.expanduser().absolute()).several
    if is_plain_npz(data):
        lines += describe_npz(data, inputs)
    elif model is None:
        lines += _as_imported(data)
    if model is not None:
        workload = user_workload(model, data)
        dataset = workload.load_dataset(DataSource())
        judged = f"metric {workload.metric.name}" if workload.metric else "no metric"
        lines.append(f"fits {model.name}: {judged}; {dataset.note}")
    return lines


def _as_imported(data: Path) -> list[str]:
    """What samples are in another form than an .npz, as they come without a model."""
    from harness.project.settings import DataSettings, PreprocessingSettings
    from harness.workloads.sources.parts import Wanted

    found = import_data(data, Wanted(), DataSettings(path=str(data)), PreprocessingSettings())
    lines = [found.note, *(f"  {key}: {words}" for key, words in sorted(found.evidence.items()))]
    return [*lines, f"  classes: {', '.join(found.classes)}"] if found.classes else lines
