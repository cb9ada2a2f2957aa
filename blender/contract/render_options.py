"""The options of ``blender.render``: one table for its argparse parser and for ``transpalette render``.

The renderer must run in Blender's Python, which has no click; the pipeline must not import the renderer.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract.profiles import find_profile

DEVICES = ("auto", "cpu", "cuda", "optix", "hip", "oneapi", "metal")


@dataclass(frozen=True)
class RenderOption:
    """One option of the command line."""

    name: str
    """Name with dashes: ``--save-blend``."""
    help: str
    """Help text: a phrase without a capital letter and without a full stop."""
    type: Callable[[str], Any] = str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    flag: bool = False
    """Whether the option is a switch, which takes no value."""

    @property
    def parameter(self) -> str:
        """Return the name of the parsed value: ``save_blend``."""
        return self.name.removeprefix("--").replace("-", "_")


RENDER_OPTIONS = (
    RenderOption(
        "--profile", "TOML file or name of the profile", find_profile, required=True, metavar="FILE"
    ),
    RenderOption("--split", "name of a split in the profile's [splits] table", required=True, metavar="NAME"),
    RenderOption(
        "--people",
        "folder with the posed body meshes, from `transpalette people`",
        Path,
        required=True,
        metavar="DIR",
    ),
    RenderOption(
        "--out", "folder for the frames, or URL of an object store, such as s3://bucket/train", metavar="DIR"
    ),
    RenderOption(
        "--frames",
        "frames to render: a range, B excluded, or a list such as 3,17,40:44; ':': all",
        default=":",
        metavar="A:B",
    ),
    RenderOption(
        "--shard",
        "render only every n-th frame, starting at frame i (to divide the work)",
        default="0/1",
        metavar="I/N",
    ),
    RenderOption(
        "--workers",
        "number of processes; 0: one per GPU, or without a GPU one per core (at most 8)",
        int,
        default=0,
        metavar="N",
    ),
    RenderOption(
        "--threads",
        "CPU threads per process; 0: the cores divided by the number of processes",
        int,
        default=0,
        metavar="N",
    ),
    RenderOption("--scheduler", "address of a Dask scheduler; render on its workers", metavar="ADDRESS"),
    RenderOption(
        "--device",
        "device that Cycles renders on; auto: a GPU if one works, otherwise the CPU",
        default="auto",
        choices=DEVICES,
    ),
    RenderOption(
        "--recycle",
        "number of frames after which a process is replaced by a new one",
        int,
        default=500,
        metavar="N",
    ),
    RenderOption("--update", "render frames again that were made with other settings", flag=True),
    RenderOption(
        "--save-blend", "write the scene of --frame as a .blend file, and stop", Path, metavar="FILE"
    ),
    RenderOption("--frame", "the frame for --save-blend", int, default=0, metavar="N"),
    RenderOption("--quiet", "print no progress and no summary", flag=True),
)


def add_render_options(parser: ArgumentParser) -> None:
    """Add the options to an argparse parser."""
    for option in RENDER_OPTIONS:
        if option.flag:
            parser.add_argument(option.name, action="store_true", help=option.help)
            continue
        default = "" if option.default is None else f" (default: {option.default})"
        parser.add_argument(
            option.name,
            type=option.type,
            default=option.default,
            required=option.required,
            choices=option.choices or None,
            metavar=option.metavar,
            help=option.help + default,
        )
