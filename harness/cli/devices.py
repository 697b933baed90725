"""`harness devices`: list, check, add and enroll boards, and compile their firmware."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.coverage import coverage_command
from harness.cli.devices_report import report_command
from harness.cli.firmware import firmware_command
from harness.cli.out import echo
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.links.base import SshLink
    from harness.links.ssh.hostkeys import HostKey

_DEVICES_DIR = click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")


@click.group("devices")
def command() -> None:
    """List, check, add and enroll devices. A device is one YAML file: see docs/guides/adding-a-board.md."""


command.add_command(coverage_command)
command.add_command(firmware_command)
command.add_command(report_command)


@command.command("list")
@_DEVICES_DIR
@click.option("--json", "json_file", type=Target(), help="Also write the list as JSON to this file (- is stdout).")
def list_command(devices_dir: str | None, json_file: str | None) -> int:
    """Every device that can be found, and whether it can be tried."""
    from harness.boards.listing import device_rows

    rows = device_rows(devices_dir)
    if json_file:
        _write_json(rows, json_file)
    if json_file != "-":
        _print_table(rows)
    return 0


@command.command("check")
@click.argument("name")
@_DEVICES_DIR
@click.option("--emulated", is_flag=True, help="Check the device's emulated twin.")
def check_command(name: str, devices_dir: str | None, emulated: bool) -> int:
    """Connect to a device and run a tiny model on each of its backends; exit code 2 when anything fails."""
    from harness.boards.check import check_device
    from harness.boards.resolve import get_profile

    profile = get_profile(name, devices_dir, emulated=emulated)
    echo(f"{profile.name}: {profile.title} ({profile.origin.path if profile.origin else ''})")
    failed = False
    for step in check_device(profile, progress=lambda line: echo(f"       {line}", err=True)):
        echo(f"  {'ok  ' if step.ok else 'FAIL'} {step.name}: {step.detail}")
        failed = failed or not step.ok
    return ExitCode.DEVICE_FAILED if failed else ExitCode.DONE


@command.command("flash")
@click.argument("name")
@_DEVICES_DIR
@click.option("--build", is_flag=True, help="Compile the firmware first, where that was not done yet.")
@click.option("--emulated", is_flag=True, help="Flash the device's emulated twin.")
def flash_command(name: str, devices_dir: str | None, build: bool, emulated: bool) -> int:
    """Bring a microcontroller's firmware onto its board, and prove that it runs; a board that runs it already is left alone."""
    from harness.boards.flashing import flash_device

    echo(flash_device(name, devices_dir, emulated=emulated, build=build, say=lambda line: echo(line, err=True)))
    return ExitCode.DONE


@command.command("enroll")
@click.argument("name")
@_DEVICES_DIR
@click.option("--fingerprint", help="The host key's fingerprint (SHA256:...), for use without a terminal.")
@click.option("--jump-fingerprint", help="The same for the jump host of the device.")
@click.option("--replace", "replace_changed", is_flag=True, help="A changed key may replace the pinned one.")
def enroll_command(
    name: str, devices_dir: str | None, fingerprint: str | None, jump_fingerprint: str | None, replace_changed: bool
) -> int:
    """Pin the host key of a device, after you compared its fingerprint."""
    from harness.boards.registry import kind_of
    from harness.boards.resolve import get_profile
    from harness.core.errors import UserInputError

    profile = get_profile(name, devices_dir)
    settings = kind_of(profile).ssh(profile)
    if settings is None:
        raise UserInputError(f"{name} is not reached over SSH and has no host key", hint="there is nothing to enroll")
    _enroll(settings, fingerprint, jump_fingerprint, replace_changed)
    echo(f"next: harness devices check {name}")
    return 0


@command.command("add")
@click.argument("address")
@click.option("--name", help="The device's name. Default: made of the board's model.")
@click.option("--user", help="The login on the board; also as USER@ADDRESS. Default: your own login name.")
@click.option("--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="Its SSH port.")
@click.option("--key", "keys", multiple=True, type=click.Path(), help="A private key file; repeatable.")
@click.option("--jump", help="A host on the way: [USER@]HOST[:PORT].")
@click.option("--python", default="python3", show_default=True, help="The interpreter on the board to use.")
@click.option("--fingerprint", help="The host key's fingerprint (SHA256:...), for use without a terminal.")
@click.option("--jump-fingerprint", help="The same for the jump host.")
@click.option(
    "--write", "folder", type=Target("folder"), help="Folder for the profile. Default: ./devices, else yours."
)
@click.option("--force", is_flag=True, help="Replace a profile of that name.")
def add_command(address: str, name: str | None, keys: tuple[str, ...], jump: str | None, **options) -> int:
    """Look at a board over SSH and write its profile: Python, runtime, cores and delegates that are really there."""
    from harness.boards.linux.add import add_board, ssh_link

    link = ssh_link(address, user=options["user"], port=options["port"], keys=keys, jump=jump)
    _enroll(link, options["fingerprint"], options["jump_fingerprint"], False)
    added = add_board(link, name=name, python=options["python"], folder=options["folder"], force=options["force"])
    facts = added.facts
    echo(f"{facts.board_model or facts.hostname}: {facts.machine}, {facts.cpu_count} cores, {facts.system}")
    for module, fact in facts.runtimes.items():
        echo(f"  {module} {fact.version or 'does not import: ' + str(fact.error)}")
    for delegate in facts.delegates:
        echo(f"  {delegate.path}: {delegate.title}")
    echo(f"wrote {added.path}")
    for note in added.notes:
        echo(f"note: {note}")
    echo(f"next: harness devices check {added.name}")
    return 0


def _enroll(settings: SshLink, fingerprint: str | None, jump_fingerprint: str | None, replace_changed: bool) -> None:
    """Pins what is not pinned yet, with a question on a terminal."""
    from harness.boards.linux.enroll import enroll_link
    from harness.links.ssh.hostkeys import host_name

    done = enroll_link(
        settings,
        fingerprint=fingerprint,
        jump_fingerprint=jump_fingerprint,
        replace_changed=replace_changed,
        confirm=_ask if sys.stdin.isatty() else None,
    )
    for host in done:
        key = host.key
        state = f"pinned in {host.pinned_in}" if host.pinned_in else "already known"
        echo(f"{host_name(key.host, key.port)}: {key.key_type} {key.fingerprint} ({state})")


def _ask(key: HostKey) -> bool:
    from harness.links.ssh.hostkeys import host_name

    echo(f"{host_name(key.host, key.port)} shows the host key {key.key_type} {key.fingerprint}")
    kind = key.key_type.removeprefix("ssh-").split("-")[0]
    echo(f"Compare it with what the board itself says: ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub")
    return click.confirm("Is it the same?", default=False)


def _write_json(rows: list[dict[str, object]], target: str) -> None:
    import json
    from pathlib import Path

    from harness.core.errors import UserInputError
    from harness.core.files import write_named_json

    value = {"schema": 1, "devices": rows}
    if target == "-":
        echo(json.dumps(value, indent=1))
        return
    try:
        write_named_json(Path(target), value)
    except OSError as error:
        raise UserInputError(f"the list cannot be written: {error.strerror or error}", where=target) from None


def _print_table(rows: list[dict[str, object]]) -> None:
    """Aligned columns; reasons, which are sentences, stand under their device."""
    if not rows:
        echo("no device profiles were found")
        return
    lines = [("device", "state", "what it is", "link", "backends"), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line, row in zip(lines, [None, *rows], strict=True):
        echo("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
        if row is not None:
            _print_notes(row, "    ")


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    """A device's line of the table; a profile that cannot be read has its path in the place of what it is."""
    state = "unavailable" if not row["available"] else "not there" if row.get("absent") else "ready"
    backends = ", ".join(row.get("backends", ()))  # type: ignore[arg-type]
    return str(row["name"]), state, str(row.get("title") or row["path"]), str(row.get("link") or ""), backends


def _print_notes(row: dict[str, object], indent: str) -> None:
    """The sentences under a device."""
    if row["reason"]:
        echo(f"{indent}unavailable: {row['reason']}")
    if row.get("absent"):
        echo(f"{indent}not there: {row['absent']}")
    if row.get("host_key_known") is False:
        echo(f"{indent}its host key is not pinned yet: harness devices enroll {row['name']}")
    if row.get("in_use_by"):
        echo(f"{indent}in use by {row['in_use_by']}")
