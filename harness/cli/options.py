"""Options that several subcommands share, each written once."""

from __future__ import annotations

import click

from harness.cli.targets import Target


def data_options(function):
    """`--data-dir` and `--data`: where samples come from."""
    function = click.option(
        "--data-dir", envvar="HARNESS_DATA_DIR", type=click.Path(), help="Folder with mnist.npz, cifar10*.npz."
    )(function)
    return click.option(
        "--data",
        type=click.Path(),
        help="Samples for your own model file: an .npz with x_test, y_test (and x_train, y_train), a .csv, a folder of images or "
        ".wav per class, or module:function.",
    )(function)


def metric_option(function):
    """`--metric NAME`, repeatable; the command is given one text."""
    return click.option(
        "--metric",
        metavar="[OUTPUT=]NAME",
        multiple=True,
        callback=_joined_metrics,
        help="What your own model file is judged by: top1, top-5, f1, auc, rmse, mean_iou, ... or a plug-in's, with settings as "
        "in 'rmse(unit=K)'; of a model with several outputs one for each, repeatable, `OUTPUT=none` leaves one out. Default: "
        "what outputs and labels ask for.",
    )(function)


def _joined_metrics(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> str | None:
    if not texts:
        return None
    from harness.workloads.outputs import joined

    return joined(texts)


def matrix_options(function):
    """`--workload --recipe --device --backend`, all repeatable."""
    for decorator in reversed(
        (
            click.option(
                "--workload",
                "workloads",
                multiple=True,
                help="A workload, or your own .keras/.h5/SavedModel/.tflite; repeatable. Default: the published three.",
            ),
            click.option(
                "--recipe",
                "recipes",
                multiple=True,
                help="A recipe, a glob, `core` or `all`; repeatable. Default: core.",
            ),
            click.option("--device", "devices", multiple=True, help="A device profile; repeatable."),
            click.option(
                "--backend", "backends", multiple=True, help="Only these backends of the devices; repeatable."
            ),
        )
    ):
        function = decorator(function)
    return function


def runtime_option(function):
    """`--runtime NAME==VERSION`, repeatable."""
    return click.option(
        "--runtime",
        "runtimes",
        multiple=True,
        metavar="NAME==VERSION",
        help="Run each device with this release of ai-edge-litert or tflite-runtime in place of its own; repeatable. For host "
        "devices and emulated boards, whose runtime is installed on first use.",
    )(function)


def _choose_store(context: click.Context, parameter: click.Parameter, url: str | None) -> None:
    if url:
        from harness.results.place import choose_store

        choose_store(url)


def _choose_objects(context: click.Context, parameter: click.Parameter, folder: str | None) -> None:
    if folder:
        from harness.results.place import choose_objects

        choose_objects(folder)


def results_options(function):
    """`--results DIR`, the folder that a command is given, and `--store URL --objects DIR`, which hold for the whole process."""
    for decorator in reversed(
        (
            click.option(
                "--results",
                type=click.Path(),
                envvar="HARNESS_RESULTS_DIR",
                help="Where runs land. Default: ./results.",
            ),
            click.option(
                "--store",
                metavar="URL",
                expose_value=False,
                callback=_choose_store,
                help="Records in a shared PostgreSQL database, such as postgresql://me@lab/harness ($HARNESS_STORE; the "
                "password only there or in PGPASSFILE). Default: SQLite in the results folder.",
            ),
            click.option(
                "--objects",
                metavar="DIR",
                expose_value=False,
                callback=_choose_objects,
                help="Outputs, samples and models in this folder ($HARNESS_OBJECTS). Default: with the records.",
            ),
        )
    ):
        function = decorator(function)
    return function


def run_options(function):
    """What every command that runs cells takes."""
    for decorator in reversed(
        (
            click.option(
                "--samples",
                default=None,
                help="Samples per cell: a number (stratified) or `all`. Default: as the device's profile says.",
            ),
            click.option(
                "--budget",
                default=None,
                metavar="DURATION",
                help="Time for the whole command, such as 90s, 8m or 1h30m: shrinks samples, never cells.",
            ),
            click.option("--emulated", is_flag=True, help="Use the emulated twins of the devices."),
            click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first."),
            results_options,
            click.option("--json", "json_file", type=Target(), help="Also write the cells as JSON to this file."),
        )
    ):
        function = decorator(function)
    return function


def deadline_option(function):
    """`--deadline DURATION`: when a build step or an inference counts as hung."""
    return click.option(
        "--deadline",
        metavar="DURATION",
        help="How long a conversion, a training without progress, or one inference may take (loading: a fifth of it). "
        "Default: 10m; for an inference 2m. On a device it never shortens what the profile allows.",
    )(function)


def inference_deadline_option(function):
    """`--deadline DURATION` where nothing is built: when an inference counts as one that never ends."""
    return click.option(
        "--deadline",
        metavar="DURATION",
        help="How long one inference may take, such as 10s: what takes longer counts as hung. Default: 2m, on a device as its "
        "profile says.",
    )(function)


def limit_options(function):
    """`--max-drop`, `--max-latency`, `--max-size`, `--prefer`: what a recommended variant keeps to."""
    for option in (
        click.option(
            "--prefer",
            type=click.Choice(["speed", "size"]),
            default="speed",
            show_default=True,
            help="What decides among those that keep to the limits.",
        ),
        click.option("--max-size", help="The largest .tflite: 200k (200,000 bytes), 200KiB, 1.5M."),
        click.option("--max-latency", help="The longest median latency, with its unit: 5ms, 300us."),
        click.option(
            "--max-drop",
            help="The most that the score may be worse than the float model's, in its unit: 0.01, or 1p for a point of a "
            "hundred. Default: one point, or 1 % of a score that is no share.",
        ),
    ):
        function = option(function)
    return function


def _refuse_tolerances(
    context: click.Context, parameter: click.Parameter, settings: tuple[str, ...]
) -> tuple[str, ...]:
    if settings:
        from harness.run.options import refuse_tolerances

        refuse_tolerances(settings)
    return settings


def tolerance_option(function):
    """`--tolerance NAME=VALUE` of earlier versions: taken only to be refused with what is in its place."""
    return click.option(
        "--tolerance",
        "tolerances",
        multiple=True,
        hidden=True,
        callback=_refuse_tolerances,
    )(function)


def command_line() -> list[str]:
    """How the user called, for the record of the run."""
    import sys

    return ["harness", *sys.argv[1:]]
