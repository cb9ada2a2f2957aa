"""The losses of boxes and of the segmentation branch."""

from __future__ import annotations

import torch

from pipeline.models.losses import segmentation_losses
from pipeline.models.roi.box_outputs import accept_auxiliary_as_background

UNLABELLED = {"auxiliary_labelled": torch.tensor(False)}


def test_segmentation_losses_count_labelled_pixels_and_no_ignored_ones() -> None:
    """Losses are small for a right prediction, large for a wrong one, and 0 in ignore regions."""
    masks = torch.zeros(2, 10, 18, dtype=torch.uint8)
    masks[0, 4:8, :8] = masks[1, :, 12:] = 1
    target = {
        "masks": masks, "labels": torch.tensor([2, 1]), "ignore": torch.tensor([[0.0, 0.0, 8.0, 10.0]]),
    }  # fmt: skip
    right = torch.full((1, 2, 4, 8), -9.0)  # padded from 3 x 5
    right[0, 1, 1, :2] = right[0, 0, :, 3:] = 9.0
    losses = segmentation_losses(right, [target])
    assert set(losses) == {"loss_pixels", "loss_regions"}
    assert losses["loss_pixels"] < 0.002 and losses["loss_regions"] < 0.01
    padding, ignored, wrong = right.clone(), right.clone(), right.clone()
    padding[0, :, 3:], padding[0, :, :, 5:] = 9.0, 9.0
    ignored[0, :, 2, :2] = 9.0
    wrong[0, 0, 1, :2] = 9.0  # in front of the ignore region, but another class
    assert segmentation_losses(padding, [target])["loss_pixels"] == losses["loss_pixels"]
    assert segmentation_losses(ignored, [target])["loss_pixels"] == losses["loss_pixels"]
    assert segmentation_losses(wrong, [target])["loss_pixels"] > 0.2
    empty = {"masks": masks[:0], "labels": torch.zeros(0, dtype=torch.int64), "ignore": torch.zeros(0, 4)}
    assert segmentation_losses(torch.full((1, 2, 4, 8), -9.0), [empty])["loss_regions"] < 0.01


def test_auxiliary_classes_may_be_background_only_where_they_are_not_labelled() -> None:
    """Of the images' boxes only background boxes of the second, without such labels, change."""
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 4)  # background, a class, two auxiliary classes
    labels = [torch.tensor([0, 2]), torch.tensor([0, 1])]
    changed = accept_auxiliary_as_background(logits, labels, [{}, UNLABELLED], auxiliary=2)
    assert torch.equal(changed[[0, 1, 3]], logits[[0, 1, 3]])
    background = logits[2].softmax(0)[[0, 2, 3]].sum()
    torch.testing.assert_close(changed[2].softmax(0), torch.tensor([background, 1 - background, 0.0, 0.0]))
    assert accept_auxiliary_as_background(logits, labels, [{}, {}], auxiliary=2) is logits


def test_the_segmentation_branch_may_find_auxiliary_classes_that_are_not_labelled() -> None:
    empty = {
        "masks": torch.zeros(0, 8, 8, dtype=torch.uint8), "labels": torch.zeros(0, dtype=torch.int64),
        "ignore": torch.zeros(0, 4),
    }  # fmt: skip
    logits = torch.full((1, 3, 2, 2), -9.0)
    logits[:, 2] = 9.0
    assert segmentation_losses(logits, [empty], auxiliary=1)["loss_pixels"] > 1
    assert segmentation_losses(logits, [empty | UNLABELLED], auxiliary=1)["loss_pixels"] < 0.01
