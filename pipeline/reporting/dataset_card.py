"""The dataset card: a Markdown page about rendered splits, from their manifests and statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blender.contract import Manifest, UserError, read_manifest, write_atomic
from pipeline.data.validation.check import load_validated_coco
from pipeline.reporting.dataset_stats import dataset_statistics
from pipeline.viz.overlays import readable

_MEDIANS = {"width": ("width", "{:.1%} of the image's"), "distance": ("distance", "{:.1f} m"),
            "visible_fraction": ("visible", "{:.0%}")}  # fmt: skip
"""Measure -> heading of its column, and format of its median."""


def write_card(splits: tuple[Path, ...], out: Path) -> None:
    """Write the card of rendered splits. It depends only on the splits, not on time, paths or machine.

    Args:
        splits: folders with a manifest and an annotations.json.
        out: the Markdown file.

    Raises:
        UserError: a split was not rendered or not converted, or the splits have different classes.
    """
    manifests = [read_manifest(split) for split in splits]
    if len({manifest.categories for manifest in manifests}) != 1:
        raise UserError("the splits have different classes; give splits of one profile")
    tables = [dataset_statistics(load_validated_coco(split / "annotations.json")) for split in splits]
    write_atomic(out, dataset_card(manifests, tables).encode())
    click.echo(f"card: {out}")


def dataset_card(manifests: list[Manifest], tables: list[dict[str, Any]]) -> str:
    """Format the card, with front matter for Hugging Face.

    Args:
        manifests: the manifests of the splits.
        tables: their statistics, from ``dataset_statistics``.
    """
    first = manifests[0]
    total = sum(table["images"] for table in tables)
    return "\n".join(
        [
            "---",
            f'pretty_name: "Transpalette renders: {first.profile}"',
            "license: apache-2.0",
            "task_categories: [image-segmentation, object-detection]",
            "tags: [synthetic, instance-segmentation, warehouse, coco]",
            f"size_categories: [{_size_category(total)}]",
            "---",
            f"# Transpalette renders: {first.profile}",
            "",
            f"{total} synthetic images of warehouses, rendered with Blender, with exact instance masks of "
            f"{', '.join(readable(name) for name in first.categories)}. No label was drawn by hand. The "
            "people are generated bodies; no real person is shown.",
            "",
            "## Contents",
            "",
            *_contents(manifests, tables),
            "",
            "## Objects",
            "",
            "Medians over all objects that are not ignore regions. "
            "Visible: the share of an object's pixels that no other object hides.",
            "",
            *_objects(manifests, tables),
            "",
            "## How it was made",
            "",
            *_origin(manifests),
            "",
            "## Licence",
            "",
            "Apache-2.0, as the program. Whoever rendered the images may choose another licence.",
            "",
            "## Notes for users",
            "",
            *_notes_about_masks(tables),
            "- Objects that are too small or too hidden are ignore regions (`iscrowd` 1). They are neither "
            "objects nor background: do not use them as negatives.",
            "- Images without an object are intended: they are negatives.",
            "- A score on renders is an upper bound. Measure on photographs of your own site.",
            "",
        ]
    )


def _notes_about_masks(tables: list[dict[str, Any]]) -> list[str]:
    """Say how exact the masks are, and how many objects have none."""
    without_mask = sum(table["without_mask"] for table in tables)
    exact = "- Masks are exact: a pixel belongs to the object that is nearest at the pixel's centre."
    return [exact, *([f"- {without_mask} objects have a box and no mask."] if without_mask else [])]


def _contents(manifests: list[Manifest], tables: list[dict[str, Any]]) -> list[str]:
    """Format the table of the numbers of images and objects in each split."""
    classes = manifests[0].categories
    head = [*(readable(name) for name in classes), "ignore regions"]
    lines = [f"| split | images | without objects | {' | '.join(head)} |", "| --- " * (len(head) + 3) + "|"]
    for manifest, table in zip(manifests, tables, strict=True):
        entries = [table["classes"].get(name, {"objects": 0, "ignored": 0}) for name in classes]
        numbers = [table["images"], table["empty"], *(entry["objects"] for entry in entries)]
        numbers.append(sum(entry["ignored"] for entry in entries))
        lines.append(f"| {manifest.split} | {' | '.join(map(str, numbers))} |")
    return lines


def _objects(manifests: list[Manifest], tables: list[dict[str, Any]]) -> list[str]:
    """Format the table of the medians of each class in each split."""
    head = [title for title, _ in _MEDIANS.values()]
    lines = [f"| split | class | {' | '.join(head)} |", "| --- " * (len(head) + 2) + "|"]
    for manifest, table in zip(manifests, tables, strict=True):
        for name, entry in table["classes"].items():
            cells = [
                "n/a" if entry["medians"][key] is None else text.format(entry["medians"][key])
                for key, (_, text) in _MEDIANS.items()
            ]
            lines.append(f"| {manifest.split} | {readable(name)} | {' | '.join(cells)} |")
    return lines


def _origin(manifests: list[Manifest]) -> list[str]:
    """Format the table of the seed and the versions with which each split was rendered."""
    lines = ["| split | seed | Blender | render version | fingerprint |", "| --- " * 5 + "|"]
    lines += [
        f"| {m.split} | {m.seed} | {m.blender} | {m.render_version} | `{m.fingerprint[:16]}` |"
        for m in manifests
    ]
    return [*lines, "", "The same profile, seed and Blender give the same bytes."]


def _size_category(images: int) -> str:
    """Return Hugging Face's name for a dataset with this number of images."""
    steps = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in steps.items() if images < limit), "n>1M")
