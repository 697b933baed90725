"""The `harness` command. Subcommands load when they are called, so that `harness --help` answers at once."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from typing import Any

import click

from harness import __version__
from harness.cli.out import echo
from harness.core.errors import ExitCode, HarnessError
from harness.core.utf8 import require_text_name

#: command name -> (module of harness.cli that holds a click command or group called `command`, one-line help)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Look at your model and data, and write harness.toml."),
    "nightly": ("nightly", "Run the matrix, compare it with its history, say what got worse."),
    "build": ("build", "Build the quantized variants of a workload or of your own model."),
    "run": ("run", "Run variants on devices and print the tables."),
    "measure": ("measure", "Measure one finished .tflite on a device."),
    "check": ("check", "Say what will happen to a model on a device, before anything is pushed."),
    "audit": ("audit", "Explain what a model's quantization really is."),
    "explain": ("explain", "Say which layer of a model loses what on a device, why, and what to try."),
    "study": ("study", "One question to many recipes of a model: calibration, schemes."),
    "report": ("report", "Tables of finished runs: workbook, CSV, Markdown, console, JSON."),
    "tune": ("tune", "Search for a better variant of a model for a device, layer by layer."),
    "recommend": ("recommend", "Say what to ship on a device, and how that is known."),
    "export": ("export", "Make a folder to ship of what was measured: for a Linux board, or a C library."),
    "diff": ("diff", "Compare two models: structure, quantization, size, placement, score."),
    "compare": ("compare", "Compare two runs: what got worse, what got better."),
    "history": ("history", "The nights of one cell: figures, verdicts, levels."),
    "accept": ("accept", "Accept a cell's figures as its new level, with the reason why."),
    "bisect": ("bisect", "Name what made a cell worse between two nights, by bringing it back."),
    "baseline": ("baseline", "Give runs names to compare with, and list them."),
    "results": ("results", "Export, import, prune, merge and check stored results."),
    "judge": ("judge", "Judge a stored run again, by today's rules."),
    "devices": ("devices", "List, check, add and enroll devices."),
    "emulator": ("emulator", "Build, start, stop and list emulated boards."),
    "data": ("data", "Show, fetch and check datasets."),
}


class _ReaderGone(Exception):
    """Whoever read stdout has gone (`| head`), which is no error. click would end with 1 for the BrokenPipeError itself."""


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand is asked for."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGone from error
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"harness.cli.{COMMANDS[cmd_name][0]}").command

    def resolve_command(self, ctx, args):
        from harness.core.errors import unknown_name

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown_name("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Which quantized variant of my model is right for this board?

    Builds PTQ and QAT variants of TensorFlow models, runs them on real boards over SSH or serial (or on this machine, or
    emulated), and answers with tables in which accuracy, latency, memory and placement stand in the same row.

    Exit codes: 0 done, 1 wrong input or a missing part, 2 a device or link failed or cells were not run, 3 something got
    worse, 4 a defect of the harness, 130 interrupted.
    """


def main() -> None:
    """Entry point of the `harness` script: runs a command; every end has its exit code, every error one message."""
    _open_standard_streams()
    _speak_utf8()
    code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
    sys.exit(code)


def _open_standard_streams() -> None:
    """Points standard streams that are closed (`>&-`, some daemons) at nothing: the next file that is opened would get their
    number, and what a library prints would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _silence_stdout() -> None:
    """Points stdout at nothing, so that what is left in its buffer does not fail when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _speak_utf8() -> None:
    """Names of files are UTF-8 here, whatever the locale says (`LC_ALL=C` of a cron job): Python's UTF-8 mode, which only a new
    process can enter. What a stream cannot hold (`PYTHONIOENCODING=ascii`) is replaced, and ends nothing.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run() -> int:
    try:
        for argument in sys.argv[1:]:
            require_text_name(argument)
        code = cli.main(standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.DONE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.WRONG_INPUT
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except _ReaderGone:
        _silence_stdout()
        return ExitCode.DONE
    except HarnessError as error:
        return _tell(error)
    except OSError as error:
        from harness.core.faults import environment_error

        refused = environment_error(error)
        return _tell_defect() if refused is None else _tell(refused)
    except Exception:
        return _tell_defect()


def _tell(error: HarnessError) -> ExitCode:
    """Prints an error; returns its exit code."""
    echo(f"error: {f'{error.where}: ' if error.where else ''}{error.what}", err=True)
    if error.hint:
        echo(f"  what to do: {error.hint}", err=True)
    return error.exit_code


def _tell_defect() -> ExitCode:
    """Prints the traceback of what nobody foresaw; called while it is handled."""
    echo(traceback.format_exc(), err=True)
    echo(f"error: this is a defect of harness {__version__}; please report it with the lines above", err=True)
    return ExitCode.DEFECT


if __name__ == "__main__":
    main()
