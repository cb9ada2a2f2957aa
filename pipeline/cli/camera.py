"""The command ``calibrate``.

Imports inside functions are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

import math
from pathlib import Path

import click

from blender.contract import UserError, write_atomic
from blender.lenses import LENSES
from pipeline.cli.group import FILE


def _numbers(text: str, count: int, option: str, separator: str = ",") -> list[float]:
    """Parse the numbers of an option's value."""
    try:
        values = [float(part) for part in text.split(separator)]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UserError(f"{option} must be {count} numbers separated by '{separator}', not '{text}'")
    return values


@click.command()
@click.argument("picture", type=FILE)
@click.option("--out", type=FILE, required=True, help="The camera file to write, camera.toml.")
@click.option(
    "--rectangle", metavar="X,Y,...", help="Four corners of a floor rectangle, in order, in pixels."
)
@click.option(
    "--size", metavar="WIDTHxLENGTH", help="Its sides in metres: first to second, second to third corner."
)
@click.option(
    "--person",
    "people",
    multiple=True,
    metavar="X,Y,X,Y[,METRES]",
    help="Foot and top of the head of an upright person in pixels, and the height; repeatable.",
)
@click.option(
    "--person-height",
    type=click.FloatRange(0.5, 2.5),
    default=1.75,
    show_default=True,
    help="Height of people without METRES.",
)
@click.option(
    "--lens", type=click.Choice(list(LENSES)), default="perspective", show_default=True, help="Lens model."
)
@click.option("--height", type=click.FloatRange(0.1, 50), help="Metres above the floor.  [default: fitted]")
@click.option("--pitch", type=click.FloatRange(-89, 45), help="Degrees above the horizon.  [default: fitted]")
@click.option("--roll", type=click.FloatRange(-60, 60), help="Degrees about the axis.  [default: fitted]")
@click.option("--fov", type=click.FloatRange(15, 140), help="Horizontal degrees.  [default: fitted]")
def calibrate(
    picture: Path,
    out: Path,
    rectangle: str | None,
    size: str | None,
    people: tuple[str, ...],
    person_height: float,
    lens: str,
    **given: float | None,
) -> None:
    """Fit a camera file to points marked in PICTURE.

    The points are the corners of a rectangle on the floor of known size, or people of known height, or both.
    The standard errors assume that points are marked to within 2 pixels in a picture 1000 pixels wide.
    """
    import numpy as np

    from pipeline.data.images import read_image
    from pipeline.metres.calibrate import Marks, summarise, to_toml
    from pipeline.metres.calibrate import calibrate as run

    if (rectangle is None) != (size is None):
        raise UserError("--rectangle and --size must be given together")
    if rectangle is None and not people:
        raise UserError("mark a --rectangle with its --size, or a --person at least once")
    corners = _numbers(rectangle, 8, "--rectangle") if rectangle else []
    width, length = _numbers(size, 2, "--size", "x") if size else (1.0, 1.0)
    if min(width, length) <= 0:
        raise UserError(f"--size must be two lengths above 0, not '{size}'")
    rows = [_numbers(text, 5 if text.count(",") == 4 else 4, "--person") for text in people]
    marks = Marks(
        np.array(corners).reshape(-1, 2),
        (width, length),
        np.array([row[:4] for row in rows]).reshape(-1, 4),
        np.array([row[4] if len(row) == 5 else person_height for row in rows]),
    )
    pixels = read_image(picture, upright=True).size
    if (marks.pixels < 0).any() or (marks.pixels > pixels).any():
        raise UserError(f"a point is outside the picture, which has {pixels[0]} x {pixels[1]} pixels")
    result = run(marks, pixels, lens, {name: value for name, value in given.items() if value is not None})
    write_atomic(out, to_toml(result).encode())
    click.echo(f"calibrate: {summarise(result)} -> {out}")
