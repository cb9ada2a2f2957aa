"""``python -m pipeline.bench``: time and memory of every part, each beside a reference in the same run.

Leaves bench.json and PERFORMANCE.md in the ``--out`` folder and prints the first table. ``--only`` measures
some parts anew and keeps the others of an earlier run, each with the machine and the day it was measured on.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError, write_atomic
from pipeline.bench.machine import Beside, keep_to, machine
from pipeline.bench.page import goals, page
from pipeline.bench.plan import Plan
from pipeline.cli.group import FILE, FOLDER, PROFILE, Group

MODULES = {
    "render": "rendering",
    "train": "training",
    "accuracy": "accuracy",
    "inference": "inference",
    "evaluate": "evaluation",
}
"""Part to the module of this package that measures it."""

FORMAT = 1
"""Of bench.json; goes up when figures change their names."""


@click.group(
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@PROFILE
@click.option("--people", type=FOLDER, required=True, help="Bodies, as `transpalette people` writes them.")
@click.option("--out", type=FOLDER, default=Path("build/bench"), show_default=True, help="Gets the results.")
@click.option(
    "--only", default="render,train,inference,evaluate", show_default=True, help="The parts to measure."
)
@click.option("--cores", default=2, show_default=True, help="Cores to keep to; 0: all.")
@click.option("--frames", default=8, show_default=True, help="Frames timed by stage.")
@click.option("--until", default=1000, show_default=True, help="Frames until their cost is timed again.")
@click.option("--images", type=int, help="Images trained on and predicted.  [default: 16, or all there are]")
@click.option("--rounds", default=12, show_default=True, help="Rounds through them, for our recipe.")
@click.option(
    "--masks", default="1000,5000", show_default=True, help="Sizes of the sets converted and judged."
)
@click.option("--annotations", default=50_000, show_default=True, help="Annotations validated.")
@click.option("--model", type=FILE, help="A trained model for inference; without: the untrained start.")
@click.option("--accuracy", is_flag=True, help="Compare the accuracy of both ways to train too: an hour.")
@click.option("--seeds", default="0,1", show_default=True, help="Of those trainings.")
@click.option("--accuracy-images", type=int, help="Images they learn from.  [default: 40, or all there are]")
@click.option("--accuracy-rounds", default=12, show_default=True, help="Rounds through them.")
@click.option(
    "--publish", type=FOLDER, help="Copy the results there too, as performance.json and PERFORMANCE.md."
)
def main(
    profile: Path,
    people: Path,
    out: Path,
    only: str,
    cores: int,
    frames: int,
    until: int,
    images: int | None,
    rounds: int,
    masks: str,
    annotations: int,
    model: Path | None,
    accuracy: bool,
    seeds: str,
    accuracy_images: int | None,
    accuracy_rounds: int,
    publish: Path | None,
) -> None:
    """Measure speed and memory, each figure beside its reference; write bench.json and PERFORMANCE.md."""
    from pipeline.config import read_profile

    has = read_profile(profile).splits
    learn, judge = has.get("train", 0), has.get("val", 0)
    plan = Plan(
        profile=profile,
        people=people,
        out=out,
        frames=frames,
        until=until,
        images=min(16, learn) if images is None else images,
        rounds=rounds,
        masks=_numbers("--masks", masks),
        annotations=annotations,
        model=model,
        seeds=_numbers("--seeds", seeds),
        accuracy_images=min(40, learn, judge) if accuracy_images is None else accuracy_images,
        accuracy_rounds=accuracy_rounds,
    )
    _check(plan, cores)
    run(plan, _parts(f"{only},accuracy" if accuracy else only), keep_to(cores), publish)


def run(plan: Plan, parts: list[str], cores: int, publish: Path | None) -> None:
    """Measure the parts, one after the other; what is measured is written at once."""
    from pipeline.config import read_profile

    file = plan.out / "bench.json"
    table = _earlier(file)
    for name in parts:
        began, beside = time.monotonic(), Beside()
        click.echo(f"bench: {name}", err=True)
        figures = importlib.import_module(f"pipeline.bench.{MODULES[name]}").measure(plan)
        table["parts"][name] = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "profile": read_profile(plan.profile).name,
            "machine": machine(cores),
            "beside_cores": beside.cores(),
            "seconds": round(time.monotonic() - began, 1),
            "figures": rounded(figures),
        }
        write_atomic(file, json.dumps(table, indent=1).encode())
        write_atomic(plan.out / "PERFORMANCE.md", page(table).encode())
    click.echo("\n".join(goals(table)))
    click.echo(f"bench: {file}, {plan.out / 'PERFORMANCE.md'}")
    if publish is not None:
        publish.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, publish / "performance.json")
        shutil.copyfile(plan.out / "PERFORMANCE.md", publish / "PERFORMANCE.md")


def rounded(value: Any) -> Any:
    """Figures to five digits that count: no clock is better."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def _earlier(file: Path) -> dict[str, Any]:
    """The parts of an earlier run; none if there was none, or if it named its figures otherwise."""
    nothing: dict[str, Any] = {"format": FORMAT, "parts": {}}
    try:
        table = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return nothing
    return table if isinstance(table, dict) and table.get("format") == FORMAT else nothing


def _parts(only: str) -> list[str]:
    wanted = list(dict.fromkeys(name for name in only.split(",") if name))
    for name in wanted:
        if name not in MODULES:
            raise UserError(f"--only {name}: unknown; known: {', '.join(MODULES)}")
    return wanted


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise UserError(f"{option} {text}: expected whole numbers, as 1,2") from None


def _check(plan: Plan, cores: int) -> None:
    """Refuse, before any work, what would fail after minutes."""
    least = {
        "--frames": (plan.frames, 2),
        "--images": (plan.images, 2),
        "--rounds": (plan.rounds, 1),
        "--masks": (min(plan.masks), 2),
        "--annotations": (plan.annotations, 10),
        "--accuracy-images": (plan.accuracy_images, 2),
        "--accuracy-rounds": (plan.accuracy_rounds, 1),
        "--cores": (cores, 0),
    }
    for option, (value, bound) in least.items():
        if value < bound:
            raise UserError(f"{option} must be at least {bound}")
    if plan.model is not None and not plan.model.is_file():
        raise UserError(f"{plan.model}: no such model; train one first (make train), or leave out --model")
    if not plan.people.is_dir():
        raise UserError(f"{plan.people}: no such folder; bake the bodies first (make people)")


if __name__ == "__main__":
    main()
