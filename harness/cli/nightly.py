"""`harness nightly`: everything that needs no hardware, within a time budget."""

from __future__ import annotations

import click

from harness.cli.options import data_options, matrix_options, run_options, runtime_option
from harness.cli.out import echo

#: devices that exist on every machine; one whose runtime cannot be had here is left out, with the reason
HOST_DEVICES = ("host-tflite", "host-litert")
#: devices that `--emulated` adds
EMULATED_DEVICES = ("imx8mp@qemu", "cortex-m4@qemu")
#: those of them whose runtime this harness installs
_WITH_RUNTIME = ("imx8mp@qemu",)
_BUDGET, _EMULATED_BUDGET = "6m", "15m"


@click.command("nightly")
@matrix_options
@run_options
@runtime_option
@data_options
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core.")
def command(
    workloads,
    recipes,
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
    jobs,
) -> int:
    """Build every core variant of the published networks and run it on the devices that exist without hardware.

    With --emulated also on the emulated boards imx8mp@qemu and cortex-m4@qemu (QEMU and cross compilers are needed).

    The default budget is 6 minutes, 15 with --emulated, building included: it shrinks samples, never cells.

    Exit code 2 where a device or link failed, or cells were not run.
    """
    from harness.boards.connect import availability
    from harness.boards.resolve import get_profile
    from harness.cli.running import run_and_report
    from harness.core.errors import MissingPartError
    from harness.core.paths import results_dir
    from harness.run.budget import parse_duration
    from harness.run.options import RunOptions, parse_samples

    if not devices:
        wanted = _default_devices(emulated, runtimes)
        states = {name: availability(get_profile(name, devices_dir)) for name in wanted}
        for name, state in states.items():
            if not state.ok:
                echo(f"left out: {name}: {state.reason}", err=True)
        devices = tuple(name for name, state in states.items() if state.ok)
        if not devices:
            raise MissingPartError("no device on this machine can run", hint="see `harness devices list`")
        runtimes, named_emulated = (), False  # their ids say both
    else:
        named_emulated = emulated
    options = RunOptions(
        workloads=workloads,
        recipes=recipes or ("core",),
        devices=devices,
        backends=backends,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget or (_EMULATED_BUDGET if emulated else _BUDGET)),
        data_dir=data_dir,
        data=data,
        devices_dir=devices_dir,
        jobs=jobs,
        runtimes=runtimes,
        emulated=named_emulated,
    )
    return run_and_report(options, results_dir(results), json_file=json_file).exit_code


def _default_devices(emulated: bool, runtimes: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the devices without `--device`: with `--runtime`, one host device per release and the boards that take it."""
    from harness.boards.runtimes import runtime_id
    from harness.envs.hostenv import parse_package

    if not runtimes:
        return (*HOST_DEVICES, *(EMULATED_DEVICES if emulated else ()))
    hosts = {"tflite-runtime": "host-tflite", "ai-edge-litert": "host-litert"}
    own = [runtime_id(hosts[parse_package(package).name], package) for package in runtimes]
    boards = _WITH_RUNTIME if emulated else ()
    return (*own, *(runtime_id(board, package) for board in boards for package in runtimes))
