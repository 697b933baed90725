"""`harness init`: from a model and its data to `harness.toml`, without a question."""

from __future__ import annotations

import click

from harness.cli.out import echo


@click.command("init")
@click.argument("model", type=click.Path())
@click.option(
    "--data",
    type=click.Path(),
    help="Samples: an .npz, a .csv, a folder of images or .wav per class, or module:function. A .tflite does without.",
)
@click.option(
    "--overlap",
    type=click.Choice(["error", "drop", "allow"]),
    default="error",
    show_default=True,
    help="What becomes of a sample that stands in two parts of the data; `drop` keeps it in the test part alone.",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    help="Where to run, such as imx8mp@qemu; repeatable. Default: this machine's and your own boards that can be tried now.",
)
@click.option("--no-ask", is_flag=True, help="Do not build the float model to see which values it takes.")
@click.option("--force", is_flag=True, help="Replace a harness.toml that is there.")
def command(model: str, data: str | None, overlap: str, devices: tuple[str, ...], no_ask: bool, force: bool) -> int:
    """Look at a model and its data, and write harness.toml into the working folder.

    Asks nothing: task, metric, preprocessing, devices and budget are read off what is there, and what was seen stands as a
    comment above each. From then on `harness run`, `harness nightly` and pytest in this folder use it.

    \b
    harness init my_model.keras --data my_data/
    harness init my_model.tflite --data samples.csv --device imx8mp@qemu
    """
    from harness.init.create import create_project

    created = create_project(
        model,
        data,
        force=force,
        overlap=overlap,
        devices=devices,
        ask=not no_ask,
        say=lambda text: echo(text, err=True),
    )
    for line in created.summary:
        echo(line)
    echo(f"wrote {created.project.path.name}: read it, then `harness run`")
    return 0
