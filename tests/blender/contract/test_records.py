"""Frame records, and committing a frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from blender import contract
from blender.contract import UserError, split, write_atomic

RECORD = contract.FrameRecord(1, 3, 0, "train", "f", 4, 5, {}, {}, "aisle", "i", "m")


def test_records_survive_writing_and_reading(tmp_path: Path) -> None:
    instance = contract.Instance(1, "pedestrian", {"a": 1}, 2.5, 10, 20, 0.5, True, ((1.0, 2.0, 2),))
    record = dataclasses.replace(RECORD, instances=(instance,))
    path = tmp_path / "000003.json"
    write_atomic(path, record.to_bytes())
    assert contract.read_record(path) == record


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000000.json"
    path.write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema"):
        contract.read_record(path)


def test_committing_an_equal_frame_never_removes_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes may render the same frame; one may read its record while the other commits it."""
    exists: list[bool] = []

    def watched(path: Path, data: bytes) -> None:
        exists.append((tmp_path / "frames" / "000003.json").is_file())
        write_atomic(path, data)

    monkeypatch.setattr(split, "write_atomic", watched)
    for record in (RECORD, RECORD, dataclasses.replace(RECORD, fingerprint="g")):
        contract.commit_frame(tmp_path, record, b"image", b"mask", {})
        assert contract.read_record(tmp_path / "frames" / "000003.json") == record
    first, again, changed = exists[:3], exists[3:6], exists[6:]
    assert (first, again, changed) == ([False] * 3, [True] * 3, [False] * 3)
