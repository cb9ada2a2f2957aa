"""Commands about scenes: check, fit, people, render, merge, doctor.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from blender.contract.render_options import RENDER_OPTIONS, RenderOption
from pipeline.cli.group import FILE, FOLDER, PROFILE, SCHEDULER
from pipeline.common.processes import module_command


@click.command()
@PROFILE
@click.option("--split", "splits", multiple=True, help="A split that the profile must have; repeatable.")
@click.option("--run", type=FOLDER, help="The run's folder; an error if it has another profile's results.")
def check(profile: Path, splits: tuple[str, ...], run: Path | None) -> None:
    """Check all tables of a profile.

    Reports all mistakes at once.
    """
    from pipeline.common.stages import claim_run_dir, note_other_splits
    from pipeline.config import check_profile, read_profile

    problems = check_profile(profile, splits)
    command = module_command("blender.config", profile)
    renderer = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    # Renderer and pipeline read the keys at the top, so a mistake there gives two equal lines.
    lines = dict.fromkeys([*(f"error: {line}" for line in problems), *renderer.stderr.splitlines()])
    for line in lines:
        click.echo(line, err=True)
    if problems or renderer.returncode:
        sys.exit(2 if problems else renderer.returncode)
    if run is not None:
        claim_run_dir(run, profile)
        note_other_splits(run, [name for name in read_profile(profile).splits if name not in splits])


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@PROFILE
@click.option("--out", type=FILE, required=True, help="The profile to write; it extends the other one.")
@click.option("--renders", type=FOLDER, help="Keep the renders here for the next fit.  [default: temporary]")
@click.option(
    "--frames", type=click.IntRange(8, 1000), default=24, show_default=True, help="Frames to render."
)
def fit(photos: tuple[Path, ...], profile: Path, out: Path, renders: Path | None, frames: int) -> None:
    """Fit a profile to unlabelled PHOTOS of a hall.

    PHOTOS are images, folders or quoted patterns. Sensor, light and camera of the photographs are compared
    with renders of the profile, whose settings are known. What photographs cannot tell stays as it is.
    """
    from pipeline.fitting.fit import fit_profile

    sys.exit(fit_profile(photos, profile, out, renders, frames))


@click.command()
@click.option("--out", type=FOLDER, default=Path("build"), show_default=True, help="Folder for the results.")
def doctor(out: Path) -> None:
    """Report versions, hardware, weights and disk space."""
    from pipeline.doctor import report

    sys.exit(0 if report(out) else 1)


@click.command()
@PROFILE
@click.option("--out", type=FOLDER, required=True, help="Folder for the .npz files.")
@SCHEDULER
def people(profile: Path, out: Path, scheduler: str | None) -> None:
    """Write posed body meshes of adults, made with anny."""
    from pipeline.people.bake import bake_people

    bake_people(profile, out, scheduler)


@click.command()
@click.pass_context
def render(ctx: click.Context, /, **options: object) -> None:
    """Render one split of a profile with Blender.

    Starts ``python -m blender.render`` with the same options.
    """
    arguments: list[str] = []
    for option in RENDER_OPTIONS:
        value = options[option.parameter]
        if option.flag:
            arguments += [option.name] if value else []
        elif value is not None:
            arguments.append(f"{option.name}={value}")
    sys.stdout.flush()
    sys.stderr.flush()
    # The renderer replaces this process, so signals and the exit status need no forwarding.
    os.execv(sys.executable, module_command("blender.render", *arguments))


def _click_option(option: RenderOption) -> click.Option:
    """Build the click option for an entry of the table of options that ``blender.render`` parses."""
    return click.Option(
        [option.name],
        type=click.Choice(option.choices) if option.choices else option.type,
        default=option.default,
        required=option.required,
        is_flag=option.flag,
        metavar=option.metavar,
        help=option.help[:1].upper() + option.help[1:] + ".",
        show_default=option.default not in (None, False),
    )


render.params += [_click_option(option) for option in RENDER_OPTIONS]


@click.command()
@click.argument("shards", nargs=-1, required=True, metavar="SHARD_DIR...")
@click.option("--out", required=True, help="Folder of the merged split; like the shards, it may be a URL.")
@click.option("--partial", is_flag=True, help="Merge even if frames are missing.")
def merge(shards: tuple[str, ...], out: str, partial: bool) -> None:
    """Merge the shards of a split, and verify every file.

    Shards are parts of a split that were rendered separately with ``render --shard I/N``.
    """
    from pipeline.data.shards import merge_shards

    merge_shards(shards, out, partial)
