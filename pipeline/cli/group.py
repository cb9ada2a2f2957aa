"""The group class of ``transpalette``, and the options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from blender.contract import exit_on_user_error, find_profile
from blender.contract.scheduler import check_address

F = TypeVar("F", bound=Callable[..., Any])


def _find_profile(_ctx: click.Context, _option: click.Parameter, name: Path | None) -> Path | None:
    """Replace the name of a shipped profile by its path."""
    return None if name is None else find_profile(name)


def _checked_address(_ctx: click.Context, _option: click.Parameter, address: str | None) -> str | None:
    """Refuse a mistyped address before the command does anything."""
    if address is not None:
        check_address(address)
    return address


class _Share(click.FloatRange):
    """A number from 0 to 1; unlike click's range, not NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        return self.fail("NaN is not in the range 0<=x<=1.", param, ctx) if math.isnan(number) else number


SHARE = _Share(0, 1)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXTRA = click.option("--extra", multiple=True, metavar="FILE:IMAGES", help="Another COCO set; repeatable.")
MAP = click.option(
    "--map", "mapping", multiple=True, metavar="CATEGORY=CLASS", help="The class of a category; repeatable."
)
EXIF = click.option(
    "--exif",
    type=click.Choice(["stored", "upright"]),
    default="stored",
    show_default=True,
    help="What annotations refer to where an EXIF orientation leaves both possible.",
)
SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    callback=_checked_address,
    help="Run on the workers of this Dask scheduler.",
)


def profile_option(help_text: str, required: bool) -> Callable[[F], F]:
    """Return the option ``--profile``, whose value is the path of a file."""
    kind = click.Path(path_type=Path)
    return click.option("--profile", type=kind, callback=_find_profile, required=required, help=help_text)


PROFILE = profile_option("The run's TOML file, or the name of a shipped profile.", required=True)


class Group(click.Group):
    """A click group that ends with a one-line message and exit status 2 on a user's error.

    Errors of the program itself keep their traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        result = None
        with exit_on_user_error():
            result = super().invoke(ctx)
        return result


class SectionedGroup(Group):
    """A group whose ``--help`` lists the commands in sections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Create a group without sections; fill ``sections`` afterwards."""
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[str]] = {}
        """Title -> names of the section's commands, in the order of ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the sections."""
        return [name for names in self.sections.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of commands for each section."""
        width = max(map(len, self.commands), default=0)
        for title, names in self.sections.items():
            limit = formatter.width - 6 - width
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)
