"""The proposals that train the box head: shares of objects, auxiliary objects and background."""

from __future__ import annotations

import torch

from pipeline.models.roi.sampling import sample_proposals

LABELS = torch.tensor([0] * 40 + [1] * 30 + [3] * 30 + [-1] * 10 + [0] * 60)


def counts(indices: torch.Tensor) -> list[int]:
    labels = LABELS[indices].tolist()
    return [labels.count(value) for value in (-1, 0, 1, 3)]


def test_objects_and_auxiliary_objects_have_a_quarter_each_and_background_the_rest() -> None:
    assert counts(sample_proposals(LABELS, 64, classes=3)) == [0, 32, 16, 16]
    of_classes = sample_proposals(LABELS, 64, classes=4)  # without auxiliary classes
    assert counts(of_classes)[:2] == [0, 48]
    few = LABELS.clone()
    few[LABELS == 1] = 0
    sampled = sample_proposals(few, 64, classes=3)
    assert (few[sampled] == 0).sum() == 48 and len(set(sampled.tolist())) == 64
    assert len(sample_proposals(torch.zeros(0, dtype=torch.long), 64, classes=3)) == 0
