"""Pasting of masks as torchvision does it, and the correction of boxes by masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from pipeline.inference.mask_pasting import paste_mask, paste_masks
from pipeline.inference.predictor import predict_array
from pipeline.models.checkpoint import load_model
from pipeline.models.detector import Detector
from tests.helpers.synthetic import write_tiny_model

SIZES = [(60, 90), (96, 96), (33, 97), (240, 321)]


def test_masks_are_pasted_as_torchvision_does() -> None:
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        corners = np.sort(rng.uniform(0, 1, (30, 2, 2)), axis=1) * (width, height)
        boxes = corners.reshape(30, 4).astype(np.float32)
        boxes[:3] = [[0, 0, width, height], [width - 0.5, height - 0.5, width, height], [3, 3, 3.01, 3.01]]
        masks = rng.random((30, 28, 28), dtype=np.float32)
        pasted = paste_masks_in_image(
            torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), (height, width)
        )
        for box, mask, expected in zip(boxes, masks, pasted[:, 0].numpy(), strict=True):
            part, top, left = paste_mask(box, mask, (height, width))
            actual = np.zeros((height, width), np.float32)
            actual[top : top + part.shape[0], left : left + part.shape[1]] = part
            assert np.abs(actual - expected).max() < 1e-4


def test_predictions_equal_torchvisions_forward(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors")
    model, _ = load_model(tmp_path / "model.safetensors")
    for height, width in SIZES:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            (expected,) = model([image])
            boxes, labels, scores, _ = Detector(model)(image)
        assert torch.equal(boxes, expected["boxes"]) and torch.equal(labels, expected["labels"])
        assert torch.equal(scores, expected["scores"])
        masks = expected["masks"][:, 0].numpy()
        detections = predict_array(model, pixels)
        mask_scores = [mask[mask >= 0.4].mean() if (mask >= 0.4).any() else 0 for mask in masks]
        order = np.argsort(-(scores.numpy() * mask_scores), kind="stable")
        assert np.abs(detections.scores - (scores.numpy() * mask_scores)[order]).max() < 1e-5
        different = (detections.masks != (masks[order] >= 0.4)).sum((1, 2))
        assert (different <= 0.005 * np.maximum(1, detections.masks.sum((1, 2)))).all()


def test_a_mask_with_a_margin_corrects_its_box() -> None:
    """The object ends 20 columns right of its box; the grid is half a box larger at each side."""
    box, label, score = np.array([[40, 30, 80, 70]], np.float32), np.array([1]), np.array([0.9], np.float32)
    grid = np.zeros((1, 28, 28), np.float32)
    grid[0, 7:21, 7:28] = 1  # 80 pixels are 28 cells: columns 40 to 100, rows 30 to 70
    detections = paste_masks(box, label, score, grid, (120, 160), margin=0.5)
    rows, columns = (np.flatnonzero(detections.masks[0].any(axis)) for axis in (1, 0))
    assert (columns[0], columns[-1] + 1) == pytest.approx((40, 100), abs=2)
    assert (rows[0], rows[-1] + 1) == pytest.approx((30, 70), abs=2)
    assert detections.boxes[0].tolist() == pytest.approx([40, 30, 90, 70], abs=1.5)
    assert box.tolist() == [[40, 30, 80, 70]]
    without_margin = paste_masks(box, label, score, grid, (120, 160))
    assert without_margin.boxes.tolist() == box.tolist()
    grid[0, :7, 7:28] = 0.25  # too unlikely for the mask, but likely enough for the box's extent
    unsure = paste_masks(box, label, score, grid, (120, 160), margin=0.5)
    assert (unsure.masks == detections.masks).mean() > 0.99
    assert unsure.boxes[0].tolist() == pytest.approx([40, 20, 90, 70], abs=1.5)
