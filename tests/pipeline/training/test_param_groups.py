"""Parts of every model family: frozen parts stay equal to the bit, trained ones have their learning rates."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
from torchvision.ops import FrozenBatchNorm2d

from pipeline.config import PARTS, ModelConfig, TrainConfig, UserError, read_profile
from pipeline.models.backbones.staged import stage_names
from pipeline.models.backbones.timm_fpn import timm_body
from pipeline.models.registry import COCO, COCO_V2, EMBEDDED, MODELS, build_model, training_options
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.param_groups import (
    parameter_groups,
    parts_of,
    set_trainable,
    trainable_parameters,
    trainable_parts,
)
from tests.helpers.shapes import CLASSES, write_split

SMALL_IMAGES = ModelConfig(min_size=96, max_size=96)
FEW_REGIONS = training_options(TrainConfig(box_batch_size_per_image=16))
"""Few sampled regions per image, which most of a step's time is spent on."""
NAMES = (COCO, COCO_V2, EMBEDDED, "timm/resnet18", "timm/convnext_atto", "timm/mobilenetv3_small_050")


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, list]:
    folder = tmp_path_factory.mktemp("split")
    write_split(folder, 2, empty=0)
    data = CocoDataset(folder / "annotations.json", folder / "images", CLASSES)
    return collate_fn([data[0], data[1]])


def train_step(model: nn.Module, batch: tuple[list, list], rate: float = 1e-3) -> None:
    parameters = [p for _, p in trainable_parameters(model)]
    optimizer = torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=0.1)
    images, targets = batch
    losses = model.train()(images, [dict(t) for t in targets])
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def test_every_model_family_is_covered() -> None:
    assert {name if name in MODELS else "timm/" for name in NAMES} == set(MODELS)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, ("heads", "fpn", "stage4", "stage3")) for name in NAMES),
        *((name, parts) for name in (COCO, EMBEDDED) for parts in (("heads",), ("heads", "fpn"))),
    ],
)
def test_only_trainable_parts_change(name: str, parts: tuple[str, ...], batch: tuple[list, list]) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3, SMALL_IMAGES, **FEW_REGIONS)
    part_of = parts_of(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert set(part_of) == set(before) and set(part_of.values()) == set(PARTS)
    set_trainable(model, parts)
    train_step(model, batch)
    after = model.state_dict()
    changed = {k for k, v in before.items() if not torch.equal(v, after[k])}
    assert {part_of[k] for k in changed} == set(parts)
    assert not changed & {k for k, _ in model.named_buffers()}, "nor BatchNorm statistics of trained parts"
    assert not [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def test_parameters_that_are_frozen_again_stop_changing(batch: tuple[list, list]) -> None:
    model = build_model(EMBEDDED, 3, SMALL_IMAGES, **FEW_REGIONS)
    set_trainable(model, ("heads", "fpn"))
    optimizer = torch.optim.AdamW(parameter_groups(model, TrainConfig(weight_decay=0.1), "none"))
    for parts in (("heads", "fpn"), ("heads",)):
        set_trainable(model, parts)
        before = copy.deepcopy(model.backbone.fpn.state_dict())
        torch.stack(list(model.train()(*map(list, batch)).values())).sum().backward()
        optimizer.step()
        after = model.backbone.fpn.state_dict()
        same = all(torch.equal(before[k], after[k]) for k in before)
        assert same == ("fpn" not in parts)


def test_stages_end_at_their_feature_maps() -> None:
    lite2 = build_model(EMBEDDED, 3, SMALL_IMAGES).backbone
    stage = lite2.stage_names()
    stage_of_module = {
        ".".join(k.split(".")[:2]) if k.startswith("blocks") else k.split(".")[0]: v for k, v in stage.items()
    }
    blocks = {f"blocks.{i}": f"stage{s}" for i, s in enumerate((1, 1, 2, 3, 3, 4, 4))}
    assert stage_of_module == {"conv_stem": "stage1", **blocks}
    resnet = parts_of(build_model(COCO, 3, SMALL_IMAGES))
    assert resnet["backbone.body.conv1.weight"] == resnet["backbone.body.layer1.2.conv3.weight"] == "stage1"
    assert resnet["backbone.body.layer2.0.conv1.weight"] == "stage2"
    assert resnet["backbone.body.layer4.2.bn3.running_mean"] == "stage4"
    convnext = parts_of(build_model("timm/convnext_atto", 3, SMALL_IMAGES))
    assert convnext["backbone.body.stem_0.weight"] == "stage1"
    assert convnext["backbone.body.stages_1.downsample.0.weight"] == "stage2"
    # A network without a module for the first map: modules before the end of stage 2 belong to stage 2.
    body = timm_body("hrnet_w18_small")
    stages = stage_names(body, ["nowhere", "stage2", "stage3", "stage4"])
    assert stages["conv1.weight"] == "stage2" and set(stages.values()) == {"stage2", "stage3", "stage4"}


def test_resnet50_v2_equals_torchvisions_with_frozen_batch_norm() -> None:
    torch.manual_seed(1)
    expected_model = maskrcnn_resnet50_fpn_v2(
        weights=None, weights_backbone=None, num_classes=91, **SMALLER
    ).eval()
    with torch.no_grad():
        for name, buffer in expected_model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    expected_model.roi_heads.score_thresh = 0.0
    config = ModelConfig(box_score_thresh=0.0)
    state = expected_model.state_dict()
    model = build_model(COCO_V2, 91, config, state, keep_predictors=True, **SMALLER).eval()
    assert len([m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]) == 53 + 8 + 4 + 4
    image = torch.rand(3, 80, 96)
    with torch.inference_mode():
        (detections,), (expected,) = model([image]), expected_model([image])
    assert len(detections["boxes"]) > 0
    assert torch.allclose(detections["boxes"], expected["boxes"], atol=1e-2)
    assert torch.allclose(detections["scores"], expected["scores"], atol=1e-4)


SMALLER = {"min_size": 96, "max_size": 96, "box_detections_per_img": 20, "rpn_post_nms_top_n_test": 50}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "timm has no model 'resnet81'; did you mean 'resnet"),
        ("hf-hub:someone/something", "timm has no model"),
        ("vit_tiny_patch16_224", r"cannot have a feature pyramid: its maps have strides \[16, 16, 16\]"),
        ("swin_tiny_patch4_window7_224", "does not accept images of every size"),
    ],
)
def test_an_unusable_network_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        build_model(f"timm/{name}", 3, SMALL_IMAGES)
    assert "\n" not in str(error.value)


def test_timm_networks_normalise_images_as_in_their_pretraining() -> None:
    model = build_model("timm/mobilenetv3_small_050", 3, SMALL_IMAGES)
    assert model.transform.image_mean == pytest.approx([0.485, 0.456, 0.406])
    other = build_model("timm/tf_efficientnetv2_b0", 3, SMALL_IMAGES)
    assert other.transform.image_mean == pytest.approx([0.485, 0.456, 0.406])
    half = build_model("timm/tf_mobilenetv3_small_minimal_100", 3, SMALL_IMAGES)
    assert half.transform.image_mean == pytest.approx([0.5] * 3)


def test_learning_rates_by_part_and_no_weight_decay_on_vectors() -> None:
    model = build_model("timm/convnext_atto", 3, SMALL_IMAGES)
    config = TrainConfig(
        trainable=("heads", "fpn", "stage4", "stage3"), lr=1.0, weight_decay=0.5, pretrained_lr_factor=0.1,
        lr_factors={"stage3": 0.01, "fpn": 0.5},
    )  # fmt: skip
    set_trainable(model, config.trainable)
    part_of = parts_of(model)
    rate: dict[int, float] = {}
    decay: dict[int, float] = {}
    for group in parameter_groups(model, config, "imagenet"):
        rate |= {id(p): group["lr"] for p in group["params"]}
        decay |= {id(p): group["weight_decay"] for p in group["params"]}
    rates = {part_of[name]: rate[id(p)] for name, p in trainable_parameters(model)}
    assert rates == {"heads": 1.0, "fpn": 0.5, "stage4": 0.1, "stage3": 0.01}
    assert all(decay[id(p)] == (0.5 if p.ndim > 1 else 0) for _, p in trainable_parameters(model))
    layer_norms = [name for name, _ in trainable_parameters(model) if name.endswith("norm.bias")]
    assert layer_norms, "LayerNorm is trained with its stage"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == COCO_V2 else []) for name in NAMES]
)
def test_a_backbone_continues_from_its_frozen_stages(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3, SMALL_IMAGES)
    backbone, image = model.backbone, torch.rand(1, 3, 96, 96)
    for parts, count in ((("fpn",), 4), (("stage4",), 3), (("stage4", "stage3"), 2), (("stage1",), 0)):
        set_trainable(model, parts)
        frozen = count if backbone.stages() or count == 4 else 0
        assert backbone.count_frozen_stages() == frozen
        with torch.no_grad():
            frozen_maps = backbone.forward_body(image, frozen) if frozen else {}
        assert len(frozen_maps) == frozen
        maps, full = backbone.finish_body(image, frozen_maps), backbone.forward_body(image)
        assert maps.keys() == full.keys()
        trained = [p for n, p in trainable_parameters(model) if n.startswith("backbone.body.")]
        for key, expected in full.items():
            assert torch.allclose(maps[key], expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
        if not trained:
            continue
        gradients, full_gradients = (
            torch.autograd.grad(sum(m.square().mean() for m in outputs.values()), trained, allow_unused=True)
            for outputs in (maps, full)
        )
        for a, b in zip(gradients, full_gradients, strict=True):
            assert (a is None) == (b is None)
            assert a is None or (a - b).norm() <= 0.01 * b.norm() + 1e-9


def test_backbones_without_hooks_are_chains_of_stages() -> None:
    cut = {name for name in NAMES if build_model(name, 3, SMALL_IMAGES).backbone.stages()}
    assert cut == set(NAMES) - {"timm/mobilenetv3_small_050"}, "which returns its feature maps through hooks"
    backbone = build_model(COCO, 3, SMALL_IMAGES).backbone
    backbone.body.compile()
    assert not backbone.stages(), "a compiled backbone is called as a whole"


def test_parts_are_unfrozen_at_their_epoch() -> None:
    config = TrainConfig(trainable=("heads",), unfreeze={"fpn": 2, "stage4": 4})
    assert [trainable_parts(config, epoch) for epoch in range(4)] == [
        ("heads",), ("heads", "fpn"), ("heads", "fpn"), ("heads", "fpn", "stage4"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="cache_features needs a frozen stage1"):
        TrainConfig(unfreeze={"stage1": 2}, cache_features=1)


def test_tables_in_the_train_table_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "x"\nseed = 0\nclasses = ["a"]\nsplits = { train = 1 }\n[train]\ntrainable = ["heads"]\n'
        "[train.lr_factors]\nstage4 = 0.05\n[train.unfreeze]\nstage4 = 3\n"
    )
    config = read_profile(path).train
    assert (config.lr_factors, config.unfreeze) == ({"stage4": 0.05}, {"stage4": 3})
