"""The proposals that train the box head: shares of objects, auxiliary objects and hard background."""

from __future__ import annotations

import torch

from pipeline.models.roi.sampling import ProposalSampling

LABELS = torch.tensor([0] * 40 + [1] * 30 + [3] * 30 + [-1] * 10 + [0] * 60)


def counts(indices: torch.Tensor) -> list[int]:
    labels = LABELS[indices].tolist()
    return [labels.count(value) for value in (-1, 0, 1, 3)]


def test_objects_and_auxiliary_objects_have_a_quarter_each_and_background_the_rest() -> None:
    assert counts(ProposalSampling(64).sample(LABELS, classes=3)) == [0, 32, 16, 16]
    of_classes = ProposalSampling(64).sample(LABELS, classes=4)  # without auxiliary classes
    assert counts(of_classes)[:2] == [0, 48]
    few = LABELS.clone()
    few[LABELS == 1] = 0
    sampled = ProposalSampling(64).sample(few, classes=3)
    assert (few[sampled] == 0).sum() == 48 and len(set(sampled.tolist())) == 64


def test_hard_background_takes_the_first_background_proposals() -> None:
    sampled = ProposalSampling(64, hard_background=0.5).sample(LABELS, classes=3).tolist()
    assert set(range(16)) <= set(sampled) and len(set(sampled)) == 64
    assert ProposalSampling(64, 1.0).sample(LABELS[:20], classes=3).tolist() == list(range(20))
    assert len(ProposalSampling(64, 0.5).sample(torch.zeros(0, dtype=torch.long), 3)) == 0
