"""The losses of the segmentation branch."""

from __future__ import annotations

import torch

from pipeline.models.losses import segmentation_losses


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
