"""What `harness.toml` adds to a command: whatever its command line leaves open, said in one line on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.cli.out import echo
from harness.project.project import FILE_NAME, project_path

#: options with which a command is about something else than a model of the folder
_ELSEWHERE = ("resume", "bundle", "clean")


class ProjectCommand(click.Command):
    """A command that takes from the project file what its command line leaves open.

    Args:
        needs: parameters without which it cannot run, wherever they come from: name -> what it is called to the user.
    """

    needs: dict[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = f"Leave {FILE_NAME} aside."
        self.params.append(click.Option(["--no-project"], is_flag=True, expose_value=False, help=words))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        left_aside = ctx.get_parameter_source("no_project") is ParameterSource.COMMANDLINE
        if not left_aside and not any(ctx.params.get(name) for name in _ELSEWHERE):
            path = project_path()
            if path is not None:
                _fill(ctx, path)
        return rest


def require(value: Any, what: str, example: str) -> None:
    """Ends a command that was given nothing to work on.

    Raises:
        UserInputError: `value` is empty; says what is missing, and where else it could stand.
    """
    if not value:
        from harness.core.errors import UserInputError

        raise UserInputError(f"no {what} named", hint=f"{example}; or write it into a {FILE_NAME} (`harness init`)")


def _fill(ctx: click.Context, path: Path) -> None:
    from harness.session.from_project import Asked, take_from

    asked = Asked(command=ctx.command.name or "", params=ctx.params, is_given=lambda name: _given(ctx, name))
    taken = take_from(path, asked)
    if taken is not None:
        echo(taken, err=True)


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
