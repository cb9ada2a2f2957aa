"""The second stage: pooling as torchvision's, boxes that move in rounds, masks that see beyond their box."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign

from pipeline.inference.predictions import pasted
from pipeline.models.detector import plain_detector
from pipeline.models.heads import WholeMaskHead
from pipeline.models.registry import COCO, EMBEDDED, build_model, plain_roi_heads
from pipeline.models.roi_align import RoIPool, enlarged
from pipeline.models.roi_heads import mirrored_boxes, pixel_losses
from tests.pipeline.models.test_model import SMALL

SHAPES = [(250, 340), (256, 352)]
FEW = {"rpn_post_nms_top_n_test": 40, "rpn_post_nms_top_n_train": 40}


def levels(images: int, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    made = {str(i): torch.randn(images, 16, 256 >> i + 2, 352 >> i + 2, generator=draw) for i in range(4)}
    return {name: level.requires_grad_() for name, level in made.items()} | {
        "pool": torch.zeros(images, 16, 4, 6)
    }


def regions(count: int, seed: int = 1) -> Tensor:
    """Boxes of every size, some of which leave the picture, one of them wholly, and one without extent."""
    draw = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=draw) * torch.tensor([340.0, 250.0])
    half = torch.rand(count, 2, generator=draw) ** 2 * 150 + 1
    odd = torch.tensor([[-90.0, -80, -40, -30], [50, 50, 50, 50], [339, 249, 352, 256]])
    return torch.cat([middle - half, middle + half], 1) if not count else torch.cat([
        torch.cat([middle - half, middle + half], 1), odd
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "counts", "scale"), [(7, [40], 224), (14, [9, 0], 448), (5, [3, 20], 100), (14, [0], 224)]
)
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_pooling_is_torchvisions(cells: int, counts: list[int], scale: int, margin: float) -> None:
    plain = MultiScaleRoIAlign(["0", "1", "2", "3"], cells, 2, canonical_scale=scale)
    boxes = [regions(count, seed) for seed, count in enumerate(counts)]
    found = []
    for pool, given in ((RoIPool(plain, margin), boxes), (plain, [enlarged(b, margin) for b in boxes])):
        x = levels(len(counts))
        out = pool(x, given, SHAPES[: len(counts)])
        out.backward(torch.arange(out.numel()).reshape(out.shape) % 7 - 3.0)
        found.append([out.detach(), *(x[str(i)].grad for i in range(4))])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None) or theirs is None
        if theirs is not None:
            assert torch.allclose(ours, theirs, atol=2e-4)
    scripted = torch.jit.script(RoIPool(plain, margin))
    assert torch.allclose(scripted(levels(len(counts)), boxes, SHAPES[: len(counts)]), found[1][0], atol=1e-5)


@pytest.mark.parametrize("name", [COCO, EMBEDDED])
def test_one_round_is_torchvisions(name: str) -> None:
    torch.manual_seed(3)
    model = build_model(name, 3, SMALL, **FEW).eval()
    assert model.roi_heads.rounds == 1
    theirs = plain_roi_heads(copy.deepcopy(model))
    assert type(theirs.roi_heads) is RoIHeads
    for heads in (model.roi_heads, theirs.roi_heads):
        heads.score_thresh = 0.0
    model.transform.mask_margin = 0.0
    for pool in ("box_roi_pool", "mask_roi_pool"):  # the same view, by torchvision's code
        getattr(model.roi_heads, pool).margin = 0.0
        getattr(theirs.roi_heads, pool).canonical_scale = getattr(model.roi_heads, pool).pool.canonical_scale
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (ours,), (other,) = model([image]), theirs([image])
    assert len(ours["boxes"]) > 5
    for entry in ("boxes", "scores", "masks"):
        assert torch.allclose(ours[entry], other[entry], atol=1e-3)


@pytest.mark.parametrize("mirror", [False, True])
def test_torchvisions_own_predict_too(mirror: bool) -> None:
    """The reference of `make bench` is judged by the same function, with or without the profile's mirror."""
    model = plain_roi_heads(build_model(EMBEDDED, 3, replace(SMALL, mirror=mirror)).eval())
    model.roi_heads.score_thresh = 0.0
    image = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        boxes, labels, scores, masks = plain_detector(model)(image)
        theirs = model([image])[0]
    assert len(boxes) == len(labels) == len(masks) > 5
    assert torch.allclose(boxes, theirs["boxes"], atol=1e-3) and torch.allclose(scores, theirs["scores"])


class Half(nn.Module):
    """A box predictor that wants each box moved right by a tenth of its width, whatever it sees."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.tensor([0.0, 5.0, 0.0]).expand(len(x), 3)
        return logits, torch.tensor([1.0, 0, 0, 0]).repeat(3).expand(
            len(x), 12
        )  # 0.1 by torchvision's weight of 10


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_each_round_moves_the_boxes(rounds: int) -> None:
    heads = build_model(EMBEDDED, 3, SMALL).eval().roi_heads
    heads.rounds, heads.box_predictor = rounds, Half()
    x = {name: level.detach().repeat(1, 6, 1, 1) for name, level in levels(1).items()}
    with torch.inference_mode():
        (found,), losses = heads(x, [torch.tensor([[100.0, 50, 140, 150]])], [(250, 340)])
    assert not losses
    of_pedestrians = found["boxes"][found["labels"] == 1]
    assert of_pedestrians[0].tolist() == pytest.approx(
        [100 + 4 * rounds, 50, 140 + 4 * rounds, 150], abs=1e-3
    )
    assert found["scores"][0] == pytest.approx(torch.tensor([0.0, 5.0, 0.0]).softmax(0)[1].item(), abs=1e-6)


def test_a_mirror_image_shows_the_same() -> None:
    torch.manual_seed(5)
    heads = build_model(EMBEDDED, 3, SMALL).eval().roi_heads
    heads.rounds, heads.score_thresh, heads.detections_per_img = 2, 0.0, 20
    with torch.no_grad():
        heads.box_predictor.bbox_pred.bias.copy_(torch.linspace(-1, 1, 12))  # a wish to move, and to one side
    one, other = ({k: v.detach().repeat(1, 6, 1, 1) for k, v in levels(1, s).items()} for s in (0, 1))
    boxes, shape = [torch.tensor([[100.0, 50, 140, 150], [30, 20, 90, 60]])], [(250, 340)]
    with torch.inference_mode():
        (found,), _ = heads(one, boxes, shape, None, other)
        (back,), _ = heads(other, mirrored_boxes(boxes, shape), shape, None, one)
        (alone,), _ = heads(one, boxes, shape)
    assert torch.equal(found["labels"], back["labels"]) and len(found["labels"]) > 2
    assert torch.allclose(found["scores"], back["scores"], atol=1e-5)
    assert torch.allclose(found["boxes"], mirrored_boxes([back["boxes"]], shape)[0], atol=1e-2)
    assert torch.allclose(found["masks"], back["masks"].flip(3), atol=1e-4)
    assert not torch.allclose(found["masks"][:2], alone["masks"][:2], atol=1e-3)


@pytest.mark.parametrize("rounds", [1, 3])
def test_no_proposals_are_no_objects(rounds: int) -> None:
    heads = build_model(EMBEDDED, 3, SMALL).eval().roi_heads
    heads.rounds = rounds
    x = {name: level.detach().repeat(1, 6, 1, 1) for name, level in levels(1).items()}
    with torch.inference_mode():
        (found,), _ = heads(x, [torch.zeros(0, 4)], [(250, 340)])
    assert {name: len(part) for name, part in found.items()} == dict.fromkeys(found, 0)


@pytest.mark.parametrize("objects", [0, 1, 3])
@pytest.mark.parametrize("rounds", [1, 3])
def test_losses_of_any_number_of_objects(objects: int, rounds: int) -> None:
    """Each finite, and each teaches what it should."""
    torch.manual_seed(0)
    heads = build_model(EMBEDDED, 3, SMALL).train().roi_heads
    heads.rounds = rounds
    x = {name: level.detach().repeat(1, 6, 1, 1) for name, level in levels(1).items()}
    boxes = regions(objects)[:objects].clamp(0, 220)
    boxes[:, 2:] += 20
    masks = torch.zeros(objects, 250, 340, dtype=torch.uint8)
    for mask, box in zip(masks, boxes.int().tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = 1
    target = {
        "boxes": boxes,
        "labels": torch.arange(objects) % 2 + 1,
        "masks": masks,
        "ignore": torch.tensor([[0.0, 0, 5, 5]]),
    }
    _, losses = heads(
        x, [regions(30)[:30].clamp(1, 230) + torch.tensor([0.0, 0, 9, 9])], [(250, 340)], [target]
    )
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    learns = {name for name, p in heads.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert "box_predictor.cls_score.weight" in learns
    masks_learn = "mask_head.whole.weight" in learns and "box_predictor.bbox_pred.weight" in learns
    assert masks_learn == (objects > 0)


@pytest.mark.parametrize("rounds", [1, 2])
def test_an_image_that_is_one_ignore_region(rounds: int) -> None:
    """Nothing is sampled, and the losses are 0, not NaN."""
    heads = build_model(EMBEDDED, 3, SMALL).train().roi_heads
    heads.rounds = rounds
    x = {name: level.detach().repeat(1, 6, 1, 1) for name, level in levels(1).items()}
    target = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 250, 340, dtype=torch.uint8),
        "ignore": torch.tensor([[0.0, 0, 340, 250]]),
    }
    _, losses = heads(x, [torch.tensor([[10.0, 10, 60, 60]])], [(250, 340)], [target])
    sum(losses.values()).backward()
    assert [loss.item() for loss in losses.values()] == [0.0] * 6


def test_a_mask_head_takes_no_regions() -> None:
    head = WholeMaskHead(32).eval()
    assert head(torch.zeros(0, 32, 14, 14)).shape == (0, 32, 14, 14)
    assert head(torch.zeros(2, 32, 14, 14)).shape == (2, 32, 14, 14)


def test_a_mask_mends_its_box() -> None:
    """The object is 20 columns wider than its box, at the right; the grid sees half a box more."""
    box = np.array([[40, 30, 80, 70]], np.float32)
    grid = np.zeros((1, 28, 28), np.float32)
    grid[0, 7:21, 7:28] = 1  # 80 pixels are 28 cells: from 40 to 100, and 30 to 70
    found = pasted(box, np.array([1]), np.array([0.9], np.float32), grid, (120, 160), margin=0.5)
    rows, columns = (np.flatnonzero(found.masks[0].any(axis)) for axis in (1, 0))
    assert (columns[0], columns[-1] + 1) == pytest.approx((40, 100), abs=2)
    assert (rows[0], rows[-1] + 1) == pytest.approx((30, 70), abs=2)
    assert found.boxes[0].tolist() == pytest.approx([40, 30, 90, 70], abs=1.5)
    assert box.tolist() == [[40, 30, 80, 70]]
    kept = pasted(box, np.array([1]), np.array([0.9], np.float32), grid, (120, 160))
    assert kept.boxes.tolist() == box.tolist()
    grid[0, :7, 7:28] = 0.25  # perhaps a tiller: no pixels of the mask, but the box need not fear it
    unsure = pasted(box, np.array([1]), np.array([0.9], np.float32), grid, (120, 160), margin=0.5)
    assert (unsure.masks == found.masks).mean() > 0.99
    assert unsure.boxes[0].tolist() == pytest.approx([40, 20, 90, 70], abs=1.5)


def test_pixels_are_asked_for_what_is_labelled_and_not_where_it_is_ignored() -> None:
    """The losses of right answers are small, of wrong ones large, and in ignore regions nothing is wrong."""
    masks = torch.zeros(2, 10, 18, dtype=torch.uint8)
    masks[0, 4:8, :8] = masks[1, :, 12:] = 1
    target = {
        "masks": masks, "labels": torch.tensor([2, 1]), "ignore": torch.tensor([[0.0, 0.0, 8.0, 10.0]]),
    }  # fmt: skip
    right = torch.full((1, 2, 4, 8), -9.0)  # as padded
    right[0, 1, 1, :2] = right[0, 0, :, 3:] = 9.0
    losses = pixel_losses(right, [target])
    assert set(losses) == {"loss_pixels", "loss_regions"}
    assert losses["loss_pixels"] < 0.002 and losses["loss_regions"] < 0.01
    padding, ignored, wrong = right.clone(), right.clone(), right.clone()
    padding[0, :, 3:], padding[0, :, :, 5:] = 9.0, 9.0
    ignored[0, :, 2, :2] = 9.0
    wrong[0, 0, 1, :2] = 9.0  # before the ignore region, but of another class
    assert pixel_losses(padding, [target])["loss_pixels"] == losses["loss_pixels"]
    assert pixel_losses(ignored, [target])["loss_pixels"] == losses["loss_pixels"]
    assert pixel_losses(wrong, [target])["loss_pixels"] > 0.2
    empty = {"masks": masks[:0], "labels": torch.zeros(0, dtype=torch.int64), "ignore": torch.zeros(0, 4)}
    assert pixel_losses(torch.full((1, 2, 4, 8), -9.0), [empty])["loss_regions"] < 0.01
