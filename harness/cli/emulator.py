"""`harness emulator`: emulated boards by hand. Runs with `--emulated` make and start what they need by themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.emulation.linux.aarch64 import RunningBoard
    from harness.emulation.linux.spec import EmulationSpec

_WAIT_S = 0.5


def _spec_options(function):
    """The board meant: a device's twin, or one described by options."""
    for decorator in reversed(
        (
            click.argument("device", required=False),
            click.option(
                "--runtime", help="Pinned runtime, such as ai-edge-litert==2.3.0. Default: tflite-runtime==2.14.0."
            ),
            click.option("--cpus", type=int, help="Emulated cores. Default: 1; more are slower on most machines."),
            click.option("--memory", "memory_mib", type=int, help="Memory in MiB. Default: 512."),
            click.option(
                "--icount", is_flag=True, default=None, help="Deterministic time: the clock counts instructions."
            ),
            click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first."),
        )
    ):
        function = decorator(function)
    return function


@click.group("emulator")
def command() -> None:
    """Build, start, stop and list emulated Linux boards.

    An emulated board is a QEMU machine with Debian and a TFLite runtime, reached over SSH on a loopback port. Its times are
    not those of the real board.
    """


@command.command("build")
@_spec_options
@click.option("--refresh", is_flag=True, help="Make it anew, of the newest packages.")
def build(refresh, **options) -> None:
    """Make the image of a board, once (about 20 s). Without DEVICE: a plain board."""
    from harness.emulation.linux.image import ensure_image

    image = ensure_image(_spec(**options), progress=_say, refresh=refresh)
    if image.created:
        seconds = image.manifest["seconds"]
        stages = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        echo(f"made image {image.key} in {sum(seconds.values()):.1f} s ({stages})")
    else:
        echo(f"image {image.key} is there already")


@command.command("start")
@_spec_options
@click.option("--detach", is_flag=True, help="Return at once; the board runs until `harness emulator stop`.")
def start(detach, **options) -> None:
    """Start a board and say how to log in. It ends with this command (Ctrl-C), unless --detach is given."""
    from harness.emulation.linux.aarch64 import EmulatedBoard

    board = EmulatedBoard.start(_spec(**options), progress=_say, detached=detach)
    if detach:
        _describe(board)
        return
    with board:
        _describe(board)
        echo("Ctrl-C ends the board", err=True)
        try:
            while board.alive:
                time.sleep(_WAIT_S)
            echo("the board has ended", err=True)
        except KeyboardInterrupt:
            echo("ending the board", err=True)


@command.command("stop")
@click.argument("board_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_boards", is_flag=True, help="Every board of this user, also those of running tests.")
def stop(board_ids, all_boards) -> None:
    """End boards by the ids that `harness emulator list` shows."""
    from harness.core.errors import UserInputError
    from harness.emulation.linux.running import list_running, stop_running

    if bool(board_ids) == all_boards:
        raise UserInputError("say which board to end", hint="an id from `harness emulator list`, or --all")
    for board_id in board_ids or [info.id for info in list_running()]:
        stop_running(board_id)
        echo(f"ended {board_id}")


@command.command("list")
def list_boards() -> None:
    """Running Linux boards and finished images.

    Emulated microcontrollers have neither image nor login: they live within the command that uses them, and are not listed.
    """
    from harness.emulation.linux.image import list_images
    from harness.emulation.linux.running import list_running

    running, images = list_running(), list_images()
    echo("running Linux boards:" if running else "running Linux boards: none")
    for info in running:
        owner = "detached" if info.owner_pid is None else f"of process {info.owner_pid}"
        echo(f"  {info.id}  port {info.port}  image {info.image}  {info.title}  ({owner})\n    {info.login}")
    echo("images:" if images else "images: none")
    for image in images:
        spec, facts = image.spec, image.manifest["facts"]
        clock = ", icount" if spec.icount else ""
        size_mib = sum(file.stat().st_blocks for file in image.path.iterdir()) * 512 / 2**20
        echo(
            f"  {image.key}  {spec.runtime}, {spec.cpus} x {spec.cpu}, {spec.memory_mib} MiB{clock}, "
            f"Python {facts['python']}, {size_mib:.0f} MiB on disk  {spec.model or ''}".rstrip()
        )


def _spec(device, runtime, cpus, memory_mib, icount, devices_dir) -> EmulationSpec:
    from harness.core.errors import UserInputError
    from harness.emulation.linux.spec import EmulationSpec

    given = {"runtime": runtime, "cpus": cpus, "memory_mib": memory_mib, "icount": icount}
    given = {key: value for key, value in given.items() if value is not None}
    if not device:
        return EmulationSpec(**given)
    from harness.boards.kind import QEMU_SUFFIX
    from harness.boards.linux.twin import twin_machine
    from harness.boards.resolve import get_profile

    profile = get_profile(device.removesuffix(QEMU_SUFFIX), devices_dir)
    if profile.emulation is None:
        hint = "leave the device out for a plain board"
        raise UserInputError(f"{profile.name} has no emulated twin: its profile has no `emulation:` block", hint=hint)
    # The same machine, with the same files in its image, that a run on NAME@qemu resumes.
    return twin_machine(profile.model_copy(update={"emulation": {**profile.emulation, **given}}))


def _describe(board: RunningBoard) -> None:
    echo(
        f"board {board.id}: {board.host} port {board.port}, user {board.user}, image {board.image.key}\n"
        f"python: {board.python} with numpy and {board.runtime_module}\nlog in: {board.login_command}"
    )


def _say(line: str) -> None:
    echo(line, err=True)
