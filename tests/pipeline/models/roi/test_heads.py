"""The region heads: torchvision's results with one stage, box refinement, mirrored images, and losses."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign

from pipeline.models.detector import Detector
from pipeline.models.heads import FusedMaskHead
from pipeline.models.registry import COCO, EMBEDDED, build_model
from pipeline.models.roi.box_outputs import mirror_boxes
from pipeline.models.roi.heads import CascadeRoIHeads
from tests.pipeline.models.regions import make_boxes, make_levels
from tests.pipeline.models.training_step import SMALL

FEW: dict[str, Any] = {"rpn_post_nms_top_n_test": 40, "rpn_post_nms_top_n_train": 40}
SHAPE = (250, 340)
WIDTH = 96


def make_heads(stages: int) -> CascadeRoIHeads:
    heads: CascadeRoIHeads = build_model(EMBEDDED, 3, replace(SMALL, box_rounds=stages)).roi_heads
    assert heads.stages == stages
    return heads


def detached_levels(seed: int = 0) -> dict[str, Tensor]:
    return {name: level.detach() for name, level in make_levels(1, seed, WIDTH).items()}


@pytest.mark.parametrize("name", [COCO, EMBEDDED])
def test_one_stage_equals_torchvisions_heads(name: str) -> None:
    torch.manual_seed(3)
    model = build_model(name, 3, SMALL, **FEW).eval()
    assert model.roi_heads.stages == 1
    plain = copy.deepcopy(model).to_torchvision()
    assert type(plain.roi_heads) is RoIHeads
    for heads in (model.roi_heads, plain.roi_heads):
        heads.score_thresh = 0.0
    model.transform.mask_margin = 0.0
    for pool in ("box_roi_pool", "mask_roi_pool"):  # without margins, and with the same choice of levels
        getattr(model.roi_heads, pool).margin = 0.0
        getattr(plain.roi_heads, pool).canonical_scale = getattr(model.roi_heads, pool).canonical_scale
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (actual,), (expected,) = model([image]), plain([image])
    assert len(actual["boxes"]) > 5
    for entry in ("boxes", "scores", "masks"):
        assert torch.allclose(actual[entry], expected[entry], atol=1e-3)


@pytest.mark.parametrize("mirror", [False, True])
def test_detector_runs_torchvisions_models_without_margin_and_mirror(mirror: bool) -> None:
    """`make bench` trains one as its reference, and evaluates it like our own model."""
    plain = build_model(EMBEDDED, 3, replace(SMALL, mirror=mirror)).eval().to_torchvision()
    assert not plain.training and type(plain.roi_heads.box_roi_pool) is MultiScaleRoIAlign
    plain.roi_heads.score_thresh = 0.0
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    detector = Detector(plain)
    assert (detector.mirror, detector.mask_margin) == (False, 0.0)
    with torch.inference_mode():
        boxes, labels, scores, masks = detector(image)
        expected = plain([image])[0]
    assert len(boxes) == len(labels) == len(masks) > 5
    assert torch.allclose(boxes, expected["boxes"], atol=1e-3)
    assert torch.allclose(scores, expected["scores"])


class MoveRight(nn.Module):
    """A box predictor that moves each box right by a tenth of its width, and says that it is a pedestrian."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.tensor([0.0, 5.0, 0.0]).expand(len(x), 3)
        offsets = torch.tensor([1.0, 0, 0, 0]).repeat(3)  # torchvision's weight is 10: a tenth
        return logits, offsets.expand(len(x), 12)


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_each_stage_moves_the_boxes(stages: int) -> None:
    heads = make_heads(stages).eval()
    heads.box_predictor = MoveRight()
    with torch.inference_mode():
        (detections,), losses = heads(detached_levels(), [torch.tensor([[100.0, 50, 140, 150]])], [SHAPE])
    assert not losses
    pedestrians = detections["boxes"][detections["labels"] == 1]
    assert pedestrians[0].tolist() == pytest.approx([100 + 4 * stages, 50, 140 + 4 * stages, 150], abs=1e-3)
    expected_score = torch.tensor([0.0, 5.0, 0.0]).softmax(0)[1].item()
    assert detections["scores"][0] == pytest.approx(expected_score, abs=1e-6)


def test_mirrored_images_give_mirrored_detections() -> None:
    torch.manual_seed(5)
    heads = make_heads(2).eval()
    heads.score_thresh, heads.detections_per_img = 0.0, 20
    with torch.no_grad():
        heads.box_predictor.bbox_pred.bias.copy_(torch.linspace(-1, 1, 12))  # moves boxes to one side
    levels, mirrored = detached_levels(0), detached_levels(1)
    boxes, shapes = [torch.tensor([[100.0, 50, 140, 150], [30, 20, 90, 60]])], [SHAPE]
    with torch.inference_mode():
        (actual,), _ = heads(levels, boxes, shapes, None, mirrored)
        (swapped,), _ = heads(mirrored, mirror_boxes(boxes, shapes), shapes, None, levels)
        (single,), _ = heads(levels, boxes, shapes)
    assert torch.equal(actual["labels"], swapped["labels"]) and len(actual["labels"]) > 2
    assert torch.allclose(actual["scores"], swapped["scores"], atol=1e-5)
    assert torch.allclose(actual["boxes"], mirror_boxes([swapped["boxes"]], shapes)[0], atol=1e-2)
    assert torch.allclose(actual["masks"], swapped["masks"].flip(3), atol=1e-4)
    assert not torch.allclose(actual["masks"][:2], single["masks"][:2], atol=1e-3)


@pytest.mark.parametrize("stages", [1, 3])
def test_no_proposals_give_no_detections(stages: int) -> None:
    with torch.inference_mode():
        (detections,), _ = make_heads(stages).eval()(detached_levels(), [torch.zeros(0, 4)], [SHAPE])
    assert {name: len(part) for name, part in detections.items()} == dict.fromkeys(detections, 0)


@pytest.mark.parametrize("objects", [0, 1, 3])
@pytest.mark.parametrize("stages", [1, 3])
def test_losses_are_finite_and_train_the_right_heads_for_any_number_of_objects(
    objects: int, stages: int
) -> None:
    torch.manual_seed(0)
    heads = make_heads(stages).train()
    boxes = make_boxes(objects)[:objects].clamp(0, 220)
    boxes[:, 2:] += 20
    masks = torch.zeros(objects, *SHAPE, dtype=torch.uint8)
    for mask, box in zip(masks, boxes.int().tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = 1
    target = {
        "boxes": boxes,
        "labels": torch.arange(objects) % 2 + 1,
        "masks": masks,
        "ignore": torch.tensor([[0.0, 0, 5, 5]]),
    }
    proposals = make_boxes(30)[:30].clamp(1, 230) + torch.tensor([0.0, 0, 9, 9])
    _, losses = heads(detached_levels(), [proposals], [SHAPE], [target])
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    trained = {name for name, p in heads.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert "box_predictor.cls_score.weight" in trained
    masks_trained = "mask_head.whole.weight" in trained and "box_predictor.bbox_pred.weight" in trained
    assert masks_trained == (objects > 0)


@pytest.mark.parametrize("stages", [1, 2])
def test_losses_are_zero_if_the_image_is_one_ignore_region(stages: int) -> None:
    heads = make_heads(stages).train()
    target = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, *SHAPE, dtype=torch.uint8),
        "ignore": torch.tensor([[0.0, 0, 340, 250]]),
    }
    _, losses = heads(detached_levels(), [torch.tensor([[10.0, 10, 60, 60]])], [SHAPE], [target])
    sum(losses.values()).backward()
    assert [loss.item() for loss in losses.values()] == [0.0] * 6


def test_mask_head_takes_no_regions() -> None:
    head = FusedMaskHead(32).eval()
    assert head(torch.zeros(0, 32, 14, 14)).shape == (0, 32, 14, 14)
    assert head(torch.zeros(2, 32, 14, 14)).shape == (2, 32, 14, 14)
