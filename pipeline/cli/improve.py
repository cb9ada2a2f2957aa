"""The command ``improve``: the loop of weakness, renders and training.

Imports inside the function are for start-up time (see ``pipeline.cli``).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.cli.group import FOLDER, MAP, profile_option

COUNT = click.IntRange(1)


@click.command()
@click.argument("run", type=FOLDER)
@profile_option("The run's TOML file.  [default: the one that RUN is of]", required=False)
@click.option("--rounds", type=COUNT, default=3, show_default=True, help="Largest number of rounds.")
@click.option(
    "--budget", metavar="TIME", help="Time after which no round begins: 45min, 2h.  [default: none]"
)
@click.option("--frames", type=COUNT, default=40, show_default=True, help="Frames to render in each round.")
@click.option(
    "--choose-frames",
    type=COUNT,
    default=120,
    show_default=True,
    help="Frames on which rounds are compared, if the profile has no split 'choose'.",
)
@click.option(
    "--proposals",
    type=COUNT,
    default=10,
    show_default=True,
    help="Scenes that are proposed for each frame that is rendered.",
)
@click.option(
    "--policy",
    type=click.Choice(["weak", "uniform"]),
    default="weak",
    show_default=True,
    help="Render what the model is weak at or, for comparison, scenes as they come.",
)
@click.option("--all-rounds", is_flag=True, help="End before the last round only if the time is spent.")
@click.option(
    "--set", "named", multiple=True, metavar="NAME=FILE:IMAGES", help="Labelled photographs; repeatable."
)
@MAP
@click.option(
    "--negatives", type=FOLDER, multiple=True, help="Photographs without objects to train on; repeatable."
)
@click.option("--threshold-set", type=FOLDER, help="Split folder that helps to select the score threshold.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Rendering processes; 0: automatic.")
@click.option("--out", type=FOLDER, help="Folder for the rounds.  [default: improve/ in RUN]")
def improve(
    run: Path,
    profile: Path | None,
    rounds: int,
    budget: str | None,
    frames: int,
    choose_frames: int,
    proposals: int,
    policy: str,
    all_rounds: bool,
    named: tuple[str, ...],
    mapping: tuple[str, ...],
    negatives: tuple[Path, ...],
    threshold_set: Path | None,
    workers: int,
    out: Path | None,
) -> None:
    """Render what a model is weak at, and train on.

    Each round measures the model of RUN on renders made for this, raises the weights of what it is surely
    weak at, renders new scenes of it, and trains on. The best checkpoint is model.safetensors in --out.
    """
    from pipeline.common.durations import parse_duration
    from pipeline.data.combine import parse_named_sets
    from pipeline.improving.loop import improve as run_loop
    from pipeline.improving.settings import FOLDER as LOOP_FOLDER
    from pipeline.improving.settings import ImproveSettings, Loop, Policy, owner_of

    chosen: Policy = "uniform" if policy == "uniform" else "weak"
    loop = Loop(
        run=run,
        profile=profile or owner_of(run),
        out=out or run / LOOP_FOLDER,
        settings=ImproveSettings(frames, choose_frames, proposals, chosen, all_rounds),
        rounds=rounds,
        budget=parse_duration(budget) if budget is not None else None,
        sets=parse_named_sets(None, None, (), named, mapping) if named else (),
        negatives=negatives,
        threshold_set=threshold_set,
        workers=workers,
    )
    try:
        run_loop(loop)
    except KeyboardInterrupt:
        click.echo("interrupted; repeat the command to continue", err=True)
        sys.exit(130)
