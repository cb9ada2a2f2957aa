"""The model as a class: training of its parts, learning rates, and ignore regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.config import ModelConfig, TrainConfig
from pipeline.models.mask_rcnn import LOSSES, SEGMENTATION_LOSSES, TranspaletteMaskRCNN
from pipeline.models.pretrained import resolve
from pipeline.models.registry import COCO, EMBEDDED, build_model
from pipeline.models.roi.heads import CascadeRoIHeads
from pipeline.models.rpn import IgnoringRPN, in_ignore_region
from pipeline.training.param_groups import parameter_groups, parts_of, set_trainable
from tests.pipeline.models.training_step import SMALL, check_reload, train_one_step


@pytest.mark.parametrize(("name", "losses"), [(COCO, LOSSES), (EMBEDDED, (*LOSSES, *SEGMENTATION_LOSSES))])
def test_model_is_a_torchvision_mask_rcnn_with_heads_of_its_own(name: str, losses: tuple[str, ...]) -> None:
    model = build_model(name, 3, SMALL)
    assert type(model) is TranspaletteMaskRCNN and isinstance(model, MaskRCNN)
    assert type(model.roi_heads) is CascadeRoIHeads and type(model.rpn) is IgnoringRPN
    assert model.loss_names == losses
    torchvision_model = model.to_torchvision()
    assert type(torchvision_model) is MaskRCNN and torchvision_model.training
    shared, state = torchvision_model.state_dict(), model.state_dict()
    assert set(state) - set(shared) == {k for k in state if k.startswith("roi_heads.pixels.")}
    assert all(shared[k].data_ptr() == state[k].data_ptr() for k in shared)


def test_weights_none_start_from_random_weights() -> None:
    start = resolve(ModelConfig(name=COCO, weights="none"))
    assert (start.kind, start.model, start.state) == ("none", COCO, None)


def test_training_moves_only_trainable_parts_and_reload_is_bit_identical(tmp_path: Path) -> None:
    start = resolve(ModelConfig(weights="embedded"))
    assert (start.kind, start.model) == ("embedded", EMBEDDED) and start.state is not None
    config = ModelConfig(min_size=96, max_size=96, box_score_thresh=0.0)
    model = build_model(start.model, 3, config, start.state)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert all(torch.equal(before[f"backbone.body.{k}"], v) for k, v in start.state.items())
    train_one_step(model, tmp_path / "split", ("heads", "fpn", "stage4"), "embedded")
    changed = {k for k, v in model.state_dict().items() if not torch.equal(before[k], v)}
    assert {parts_of(model)[k] for k in changed} == {"heads", "fpn", "stage4"}
    assert not any(k.endswith(".bias") for k in changed if k.startswith("backbone.body."))
    check_reload(model, EMBEDDED, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "start", "rates"),
    [
        (EMBEDDED, "embedded", {"heads": {1e-3}, "stage4": {1e-4}}),
        (EMBEDDED, "none", {"heads": {1e-3}, "stage4": {1e-3}}),
        (COCO, "coco", {"heads": {1e-3, 1e-4}, "stage4": {1e-4}}),
    ],
)
def test_pretrained_weights_have_a_lower_rate_and_biases_no_weight_decay(
    name: str, start: str, rates: dict[str, set[float]]
) -> None:
    model = build_model(name, 3, SMALL)
    config = TrainConfig(trainable=("heads", "stage4"), lr=1e-3, pretrained_lr_factor=0.1, weight_decay=0.5)
    set_trainable(model, config.trainable)
    groups = parameter_groups(model, config, start)
    rate = {id(p): round(g["lr"], 9) for g in groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    rates_by_part: dict[str, set[float]] = {}
    for key, parameter in model.named_parameters():
        assert (id(parameter) in rate) == parameter.requires_grad
        if parameter.requires_grad:
            rates_by_part.setdefault(parts_of(model)[key], set()).add(rate[id(parameter)])
            assert decay[id(parameter)] == (0.5 if parameter.ndim > 1 else 0.0)
    assert rates_by_part == rates
    fast = {key for key, p in model.named_parameters() if p.requires_grad and rate[id(p)] == 1e-3}
    assert name != COCO or all("_predictor." in key for key in fast)


def test_boxes_mostly_in_an_ignore_region_are_ignored() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [6, 0, 16, 10], [40, 40, 50, 50]])
    region = torch.tensor([[0.0, 0, 10, 20]])
    assert in_ignore_region(boxes, region).tolist() == [True, True, False, False]
    assert not in_ignore_region(boxes, torch.zeros(0, 4)).any()


def test_ignore_regions_are_never_sampled_as_background() -> None:
    model = build_model(EMBEDDED, 3, SMALL).train()
    boxes = torch.tensor([[0.0, 0, 10, 10], [60, 60, 90, 90]])
    target = {"boxes": torch.tensor([[60.0, 60, 90, 90]]), "ignore": torch.tensor([[0.0, 0, 20, 20]])}
    (labels,), _ = model.rpn.assign_targets_to_anchors([boxes], [target])
    assert labels.tolist() == [-1, 1]
    target |= {"labels": torch.tensor([1]), "masks": torch.ones(1, 96, 96, dtype=torch.uint8)}
    proposals, *_ = model.roi_heads.select_training_samples([boxes], [target])
    assert [0.0, 0, 10, 10] not in proposals[0].tolist()
