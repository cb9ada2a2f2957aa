"""The benchmark's JSON as a page: every figure beside its reference. docs/PERFORMANCE.md is one."""

from __future__ import annotations

from typing import Any

from pipeline.bench.cells import number, table
from pipeline.bench.goals import GOALS
from pipeline.bench.sections import PARTS

TITLES = {
    "render": "Rendering",
    "train": "Training",
    "accuracy": "Training: accuracy",
    "inference": "Inference",
    "evaluate": "COCO files",
}
NOTE = (
    "Seconds are those of one machine; trust the ratios, which were measured in one run, on the same cores, "
    "with what is compared taken in turns. A figure that was not measured says so."
)


def page(results: dict[str, Any]) -> str:
    """Markdown of what bench.json holds."""
    lines = [
        "# Performance",
        "",
        "Written by `make bench` from its JSON; not by hand.",
        "",
        NOTE,
        "",
        *goals(results),
    ]
    for name, write in PARTS.items():
        if name in results["parts"]:
            part = results["parts"][name]
            lines += ["", f"## {TITLES[name]}", "", _state(part), "", *write(part["figures"])]
    return "\n".join(lines) + "\n"


def goals(results: dict[str, Any]) -> list[str]:
    """The first table: what should be, what is."""
    rows = []
    for goal in GOALS:
        part = results["parts"].get(goal.part)
        value = goal.value(part["figures"]) if part else None
        limit = f"at {'least' if goal.at_least else 'most'} {goal.limit:g}{goal.unit}"
        said = ("not measured", "") if value is None else (number(value) + goal.unit, _yes(goal.met(value)))
        rows.append([goal.text, limit, *said])
    return table(["", "goal", "measured", "met"], rows)


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _state(part: dict[str, Any]) -> str:
    """The machine and what ran beside, in one paragraph."""
    of = part["machine"]
    versions = ", ".join(
        f"{name} {value}"
        for name, value in of.items()
        if name not in ("cpu", "cores", "cores_of_machine", "memory_gb", "system")
    )
    memory = f", {of['memory_gb']:g} GB" if of["memory_gb"] else ""
    beside = part["beside_cores"]
    others = "it is not known what ran beside" if beside is None else f"other work kept {beside:g} cores busy"
    return (
        f"{part['date']}, profile {part['profile']}: {of['cpu']}, {of['cores']} of "
        f"{of['cores_of_machine']} cores{memory}, {of['system']}; {versions}. "
        f"The part took {part['seconds']:.0f} s; meanwhile {others}."
    )
