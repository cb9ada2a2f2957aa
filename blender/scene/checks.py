"""Check before a render whether a profile's objects can appear at all. No bpy."""

from __future__ import annotations

from blender.assets import Assets
from blender.config.profile import Config
from blender.kinds import find_kind


def scene_warnings(config: Config, assets: Assets) -> list[str]:
    """Describe the tables of [scene.objects] whose objects do not fit into the halls or cannot be seen.

    Returns:
        One line for each problem: a distance beyond the halls, and what ``ObjectKind.warnings`` reports.
    """
    hall, lines = config.ranges["hall"], []
    layouts = (getattr(config.scene, name) for name, weight in config.scene.layouts.items() if weight > 0)
    lengths = (getattr(layout, "length", None) or hall.length for layout in layouts)
    longest = max(hall.length[1], *(length[1] for length in lengths))
    for key, table in config.scene.objects.items():
        lines += find_kind(table.builder).warnings(config.ranges[key], assets, hall)
        near, far = table.distance
        if table.count[1] and near > longest:
            lines.append(
                f"[scene.objects.{key}] distance = [{near:g}, {far:g}] begins beyond the longest hall "
                f"({longest:g} m), so no object can be placed; lower it"
            )
    return list(dict.fromkeys(lines))


Placements = dict[str, tuple[int, int]]
"""Tables of [scene.objects] -> the objects wanted, and those for which a place was found."""


def add_placements(total: Placements, more: Placements) -> None:
    """Add the counts of ``more`` to ``total``."""
    for key, (wanted, placed) in more.items():
        before = total.get(key, (0, 0))
        total[key] = (before[0] + wanted, before[1] + placed)


def placement_warnings(placements: Placements, frames: int) -> list[str]:
    """Describe each table whose objects found no place more often than they found one.

    Args:
        placements: the counts of all frames together.
        frames: number of these frames.
    """
    return [
        f"[scene.objects.{key}]: no place was found for {wanted - placed} of {wanted} objects in {frames} "
        f"{'frame' if frames == 1 else 'frames'}; make the objects smaller, lower count or clear, or widen "
        "distance or the halls"
        for key, (wanted, placed) in placements.items()
        if wanted > 2 * placed
    ]
