"""`harness measure`: one finished .tflite of the user's own on a device."""

from __future__ import annotations

import click

from harness.cli.options import (
    data_options,
    inference_deadline_option,
    metric_option,
    run_options,
    runtime_option,
    tolerance_option,
)
from harness.cli.out import echo
from harness.cli.project import ProjectCommand, require


@click.command("measure", cls=ProjectCommand)
@click.argument("model", type=click.Path(), required=False)
@click.option("--device", "devices", multiple=True, help="A device profile; repeatable.")
@click.option("--backend", "backends", multiple=True, help="Only these backends of the devices; repeatable.")
@run_options
@runtime_option
@data_options
@metric_option
@tolerance_option
@inference_deadline_option
@click.option(
    "--mlperf", is_flag=True, help="Also as MLPerf Tiny's rules measure: five loops of 10 s, their median, top-1, AUC."
)
def command(
    model,
    devices,
    backends,
    runtimes,
    samples,
    budget,
    emulated,
    devices_dir,
    results,
    json_file,
    data_dir,
    data,
    metric,
    tolerances,
    deadline,
    mlperf,
) -> int:
    """Measure one finished .tflite on a device.

    MODEL.tflite#NAME takes one of several signatures.

    Without --data the inputs are random, in the model's own input types, and agreement with the reference runtime takes
    the place of a score.

    \b
    harness measure my_model.tflite --device host-litert
    harness measure my_model.tflite --device imx8mp --data samples.npz --samples 1000
    """
    from harness.cli.running import run_and_report
    from harness.core.paths import results_dir
    from harness.run.budget import parse_duration
    from harness.run.measured import RANDOM_SAMPLES, measure_plan
    from harness.run.options import RunOptions, parse_samples

    require(model, "model", "such as `harness measure my_model.tflite --device host-litert`")
    options = RunOptions(
        workloads=(model,),
        recipes=(),
        devices=devices,
        backends=backends,
        runtimes=runtimes,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget, "--budget") if budget else None,
        emulated=emulated,
        data_dir=data_dir,
        data=data,
        metric=metric,
        devices_dir=devices_dir,
        tolerances=tolerances,
        deadline_s=parse_duration(deadline, "--deadline") if deadline else None,
        mlperf=mlperf,
    )
    plan = measure_plan(options, RANDOM_SAMPLES)
    result = run_and_report(options, results_dir(results), plan=plan, json_file=json_file)
    if mlperf:
        from harness.reports.values import mlperf_text

        for record in result.records:
            text = mlperf_text(record) or "no figures (see the findings)"
            echo(f"MLPerf Tiny, {record.key.text}: {text}", err=json_file == "-")
    return result.exit_code
