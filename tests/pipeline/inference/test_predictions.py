"""What a network says, made a prediction: masks pasted as torchvision does it, through the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from pipeline.inference.predictions import paste
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
        theirs = paste_masks_in_image(
            torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), (height, width)
        )
        for box, mask, wanted in zip(boxes, masks, theirs[:, 0].numpy(), strict=True):
            part, top, left = paste(box, mask, (height, width))
            ours = np.zeros((height, width), np.float32)
            ours[top : top + part.shape[0], left : left + part.shape[1]] = part
            assert np.abs(ours - wanted).max() < 1e-4


def test_what_predicts_is_torchvisions_own_forward(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors")
    model, _ = load_model(tmp_path / "model.safetensors")
    for height, width in SIZES:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            (wanted,) = model([image])
            boxes, labels, scores, _ = Detector(model)(image)
        assert torch.equal(boxes, wanted["boxes"]) and torch.equal(labels, wanted["labels"])
        assert torch.equal(scores, wanted["scores"])
        masks = wanted["masks"][:, 0].numpy()
        found = predict_array(model, pixels)
        sure = [mask[mask >= 0.4].mean() if (mask >= 0.4).any() else 0 for mask in masks]
        order = np.argsort(-(scores.numpy() * sure), kind="stable")
        assert np.abs(found.scores - (scores.numpy() * sure)[order]).max() < 1e-5
        differ = (found.masks != (masks[order] >= 0.4)).sum((1, 2))
        assert (differ <= 0.005 * np.maximum(1, found.masks.sum((1, 2)))).all()
