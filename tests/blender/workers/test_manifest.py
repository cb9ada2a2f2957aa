"""Counts of the labelled objects of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from blender.config.profile import Config
from blender.contract import FrameRecord, frame_paths, read_record
from blender.workers.manifest import ObjectCounts


@pytest.fixture
def record(tiny_split: Path) -> FrameRecord:
    """Return the record of a frame with a pedestrian."""
    record = read_record(frame_paths(tiny_split, 0)[2])
    assert any(i.category == "pedestrian" for i in record.instances)
    return record


def count(config: Config, *records: FrameRecord) -> list[str]:
    counts = ObjectCounts()
    for record in records:
        counts.add(record)
    return counts.warnings(replace(config, classes=("pedestrian",)))


def test_class_without_a_visible_object_is_named_with_the_reason(
    record: FrameRecord, default_config: Config
) -> None:
    assert count(default_config, record) == []
    assert count(default_config) == [], "no frame, so nothing is known"
    without = replace(record, instances=())
    (line,) = count(default_config, without, without)
    assert line.startswith("class 'pedestrian': 0 objects in 2 frames; check count, distance and size of ")
    tiny = replace(record, instances=tuple(replace(i, visible_pixels=0) for i in record.instances))
    people = sum(i.category == "pedestrian" for i in record.instances)
    (line,) = count(default_config, tiny)
    assert line.startswith(
        f"class 'pedestrian': 0 objects in 1 frame; {people} placed, none with a visible pixel"
    )
    assert count(default_config, tiny, record) == []
    objects = {key: replace(t, count=(0, 0)) for key, t in default_config.scene.objects.items()}
    none = replace(default_config, scene=replace(default_config.scene, objects=objects))
    (line,) = count(none, without)
    assert "count = [0, 0] in [scene.objects.pedestrian_near], [scene.objects.pedestrian]" in line
    negative = replace(default_config, scene=replace(default_config.scene, negatives=1.0))
    assert "negatives = 1" in count(negative, without)[0]
