"""Write the benchmark's JSON file as a Markdown page; docs/PERFORMANCE.md is such a page."""

from __future__ import annotations

from typing import Any

from pipeline.bench.report.markdown import number, table
from pipeline.bench.report.sections import SECTIONS
from pipeline.bench.targets import TARGETS

TITLES = {
    "render": "Rendering",
    "train": "Training",
    "accuracy": "Training: accuracy",
    "inference": "Inference",
    "evaluate": "COCO files",
}
INTRODUCTION = (
    "The seconds are those of one machine. The ratios are more meaningful: both values of a ratio were "
    "measured in the same run, on the same cores and in turns. A figure without a measurement is marked as "
    "not measured."
)


def page(results: dict[str, Any]) -> str:
    """Format the content of bench.json as Markdown."""
    lines = [
        "# Performance",
        "",
        "`make bench` generates this page from its JSON file. Do not edit it.",
        "",
        INTRODUCTION,
        "",
        *targets_table(results),
    ]
    for name, section in SECTIONS.items():
        if name in results["parts"]:
            part = results["parts"][name]
            lines += ["", f"## {TITLES[name]}", "", _conditions(part), "", *section(part["figures"])]
    return "\n".join(lines) + "\n"


def targets_table(results: dict[str, Any]) -> list[str]:
    """Format the table of the targets and the measured figures."""
    rows = []
    for target in TARGETS:
        part = results["parts"].get(target.part)
        value = target.value(part["figures"]) if part else None
        limit = f"at {'least' if target.at_least else 'most'} {target.limit:g}{target.unit}"
        if value is None:
            rows.append([target.text, limit, "not measured", ""])
        else:
            met = "yes" if target.is_met(value) else "**no**"
            rows.append([target.text, limit, number(value) + target.unit, met])
    return table(["figure", "target", "measured", "met"], rows)


def _conditions(part: dict[str, Any]) -> str:
    """Describe in one paragraph when and where a part was measured."""
    machine = part["machine"]
    versions = ", ".join(
        f"{name} {value}"
        for name, value in machine.items()
        if name not in ("cpu", "cores", "cores_of_machine", "memory_gb", "system")
    )
    memory = f", {machine['memory_gb']:g} GB" if machine["memory_gb"] else ""
    load = part["background_load_cores"]
    background = (
        "the load of other processes is unknown" if load is None else f"other processes used {load:g} cores"
    )
    return (
        f"Measured on {part['date']} with the profile {part['profile']}: {machine['cpu']}, "
        f"{machine['cores']} of {machine['cores_of_machine']} cores{memory}, {machine['system']}; "
        f"{versions}. The measurement took {part['seconds']:.0f} s; meanwhile, {background}."
    )
