"""What is surely weak: slices of the factor table, and look-alikes that are taken for a class."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation.matching import evaluate_detections
from pipeline.improving.weakness import OF_ANY_COCO_FILE, mistaken_kinds, weak_cells


def side(low: float, count: int = 20) -> dict[str, Any]:
    return {"count": count, "gap": low + 0.2, "gap_interval": [low, low + 0.4]}


def row(factor: str, bin_name: str, recall: Any, precision: Any = None) -> dict[str, Any]:
    return {
        "factor": factor,
        "bin": bin_name,
        "class": "pallet_truck",
        "recall": recall,
        "precision": precision,
    }


def test_only_surely_weak_slices_count_the_strongest_first() -> None:
    rows = [
        row("mount", "overhead", side(0.1), side(-0.1)),
        row("mount", "hand", side(-0.01)),
        row("layout", "dock", None, side(0.2)),
        row("lens", "wide", side(0.5, count=4)),
    ]
    cells = weak_cells(rows, "choose")
    assert [(c.factor, c.bin, c.side, c.strength) for c in cells] == [
        ("layout", "dock", "precision", 0.2),
        ("mount", "overhead", "recall", 0.1),
    ]


def test_photographs_name_only_factors_that_any_file_has() -> None:
    rows = [row("size", "below 16 px", side(0.1)), row("source", "phone", side(0.3))]
    assert [c.factor for c in weak_cells(rows, "site", OF_ANY_COCO_FILE)] == ["size"]


def scene(frame: int, forklift: list[float]) -> dict[str, Any]:
    """Describe a scene with a labelled truck, a forklift and two guards."""
    guards = [
        {"kind": "guard", "category": "", "parameters": {"variant": "rail"}, "bbox": [x, 60, 10, 10]}
        for x in (0, 80)
    ]
    truck = {"kind": "pallet_truck", "category": "pallet_truck", "parameters": {}, "bbox": [40, 40, 20, 20]}
    lift = {"kind": "forklift", "category": "", "parameters": {"variant": "reach_truck"}, "bbox": forklift}
    return {"frame": frame, "objects": [truck, lift, *guards]}


def test_look_alikes_under_false_alarms_are_found() -> None:
    frames, box = 30, [5.0, 5.0, 30.0, 30.0]
    images = [
        {"id": n + 1, "frame": n, "width": 100, "height": 80, "file_name": f"{n}.png"} for n in range(frames)
    ]
    truth = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [40, 40, 20, 20], "area": 400, "iscrowd": 0}
        for n in range(1, frames + 1)
    ]
    categories = [{"id": 1, "name": "pallet_truck"}]
    alarms = [
        {"image_id": n, "category_id": 1, "bbox": [6, 6, 30, 30], "score": 0.9} for n in range(1, frames, 2)
    ]
    right = [
        {"image_id": n, "category_id": 1, "bbox": [40, 40, 20, 20], "score": 0.9} for n in range(1, frames)
    ]
    dataset = {"images": images, "annotations": truth, "categories": categories}
    evaluation = evaluate_detections(dataset, alarms + right)
    found = mistaken_kinds(evaluation, 0.5, {n: scene(n, box) for n in range(frames)})
    assert {(m.kind, m.variant) for m in found} == {("forklift", ""), ("forklift", "reach_truck")}
    assert (found[0].taken, found[0].count) == (15, 30) and found[0].strength > 0.1
    assert mistaken_kinds(evaluation, 0.95, {n: scene(n, box) for n in range(frames)}) == []
    far = {n: scene(n, [60.0, 5.0, 30.0, 30.0]) for n in range(frames)}
    assert mistaken_kinds(evaluation, 0.5, far) == []
