"""The networks and what they start from; above all the COCO road, proven without a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from timm.layers import Conv2dSame
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from pipeline.config import ModelConfig, TrainConfig, UserError
from pipeline.models.backbones import FrozenBatchNorm, lite_convolutions
from pipeline.models.checkpoint import Checkpoint, load_model, save_checkpoint
from pipeline.models.mask_rcnn import COCO, EMBEDDED, build_model, training_options
from pipeline.models.pretrained import coco_path, resolve
from pipeline.models.rpn import covered, respect_ignore_regions
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.param_groups import parameter_groups, parts_of, set_trainable
from tests.helpers.shapes import CLASSES, write_split

FILE_NAME = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
SMALL = ModelConfig(min_size=96, max_size=96)


@pytest.fixture(autouse=True)
def closed_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a proxy that refuses every connection."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the keys and shapes of torchvision's own, under its name."""
    path = tmp_path_factory.mktemp("stand-in") / FILE_NAME
    torch.manual_seed(7)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    # torchvision's file has no num_batches_tracked: its BatchNorm was frozen.
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, path)
    return path


def put_into_cache(stand_in: Path) -> Path:
    path = coco_path()
    path.parent.mkdir(parents=True)
    path.symlink_to(stand_in)
    return path


def test_the_cache_is_where_torchvision_looks(tmp_path: Path) -> None:
    assert coco_path() == tmp_path / "torch" / "hub" / "checkpoints" / FILE_NAME
    assert MaskRCNN_ResNet50_FPN_Weights.DEFAULT.url.endswith(f"/{FILE_NAME}")


@pytest.mark.parametrize("weights", ["coco", "auto"])
def test_cached_coco_weights_are_loaded(stand_in: Path, weights: str) -> None:
    put_into_cache(stand_in)
    start = resolve(ModelConfig(weights=weights))
    assert (start.kind, start.model, start.fallback) == ("coco", COCO, "")
    assert "NOT torchvision's own file" in start.source
    theirs = torch.load(stand_in, weights_only=True)
    model = build_model(COCO, 3, SMALL, start.state)
    ours = model.state_dict()
    predictors = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.")
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in ours if not k.startswith(predictors))
    assert model.roi_heads.box_predictor.cls_score.out_features == 3
    assert model.roi_heads.box_predictor.bbox_pred.out_features == 12
    assert model.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 3
    norms = [m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) == 53 and {m.eps for m in norms} == {0.0}
    assert not [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def one_step(model: torch.nn.Module, folder: Path, parts: tuple[str, ...], start: str) -> None:
    write_split(folder, 2, empty=0)
    data = CocoDataset(folder / "annotations.json", folder / "images", CLASSES)
    config = TrainConfig(trainable=parts)
    set_trainable(model, parts)
    optimizer = torch.optim.AdamW(parameter_groups(model, config, start))
    losses = respect_ignore_regions(model).train()(*collate_fn([data[0], data[1]]))
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def test_coco_heads_move_frozen_layers_do_not_and_a_reload_is_bit_identical(
    stand_in: Path, tmp_path: Path
) -> None:
    put_into_cache(stand_in)
    start = resolve(ModelConfig(weights="coco"))
    model = build_model(COCO, 3, SMALL, start.state, **training_options(TrainConfig()))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one_step(model, tmp_path / "split", ("heads",), "coco")
    after = model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved and all(k.startswith(("rpn.", "roi_heads.")) for k in moved)
    assert {"roi_heads.box_predictor.cls_score.weight", "rpn.head.cls_logits.weight"} <= moved
    # Sees through eps, too: FrozenBatchNorm rebuilt as live BatchNorm would give other outputs.
    model.roi_heads.score_thresh = 0.0
    save_and_compare(model, COCO, tmp_path / "model.safetensors")


def save_and_compare(model: torch.nn.Module, name: str, path: Path) -> None:
    config = {"min_size": 96, "max_size": 96, "box_score_thresh": 0.0}
    save_checkpoint(path, checkpoint_of(model, name, config))
    again, _ = load_model(path)
    model = model.eval().to(memory_format=torch.channels_last)
    image = torch.rand(3, 80, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (first,), (second,) = model([image]), again([image])
    assert len(first["boxes"]) > 0
    assert all(torch.equal(first[k], second[k]) for k in first)


def checkpoint_of(model: torch.nn.Module, name: str, config: dict) -> Checkpoint:
    start = {"kind": "none", "source": "", "fallback": ""}
    return Checkpoint(
        model=name, config=config, classes=CLASSES, start=start, metrics={}, epoch=1, epochs=1, seed=0,
        seconds=0.0, images=2, score_threshold=0.5, state=model.state_dict(),
    )  # fmt: skip


def test_embedded_parts_learn_as_told_and_a_reload_is_bit_identical(tmp_path: Path) -> None:
    start = resolve(ModelConfig(weights="embedded"))
    assert (start.kind, start.model) == ("embedded", EMBEDDED)
    model = build_model(
        start.model, 3, ModelConfig(min_size=96, max_size=96, box_score_thresh=0.0), start.state
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert all(torch.equal(before[f"backbone.body.{k}"], v) for k, v in start.state.items())
    one_step(model, tmp_path / "split", ("heads", "fpn", "stage4"), "embedded")
    moved = {k for k, v in model.state_dict().items() if not torch.equal(before[k], v)}
    assert {parts_of(model)[k] for k in moved} == {"heads", "fpn", "stage4"}
    assert not any(k.endswith(".bias") for k in moved if k.startswith("backbone.body."))
    save_and_compare(model, EMBEDDED, tmp_path / "model.safetensors")


def test_embedded_taps_have_the_spread_the_pyramid_divides_by() -> None:
    model = build_model(EMBEDDED, 3, SMALL, resolve(ModelConfig(weights="embedded")).state).eval()
    coarse = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(coarse, size=192, mode="bilinear")
    with torch.inference_mode():
        taps = model.backbone.body((image - 127 / 255) / (128 / 255))
    assert [t.shape[1:] for t in taps] == [(24, 48, 48), (48, 24, 24), (120, 12, 12), (352, 6, 6)]
    for tap, std in zip(taps, model.backbone.std, strict=True):
        assert 0.4 < float(tap.std()) / std < 2.5


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_the_fast_frozen_norm_is_torchvisions(eps: float) -> None:
    ours, theirs = FrozenBatchNorm(8, eps=eps), FrozenBatchNorm2d(8, eps=eps)
    for value in theirs.state_dict().values():
        value.uniform_(0.5, 2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8, 5, 5)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    assert not list(ours.parameters())


@pytest.mark.parametrize(
    ("name", "start", "rates"),
    [
        (EMBEDDED, "embedded", {"heads": {1e-3}, "stage4": {1e-4}}),
        (EMBEDDED, "none", {"heads": {1e-3}, "stage4": {1e-3}}),
        (COCO, "coco", {"heads": {1e-3, 1e-4}, "stage4": {1e-4}}),
    ],
)
def test_what_is_pretrained_learns_slower_and_biases_do_not_decay(
    name: str, start: str, rates: dict[str, set[float]]
) -> None:
    model = build_model(name, 3, SMALL)
    config = TrainConfig(trainable=("heads", "stage4"), lr=1e-3, pretrained_lr_factor=0.1, weight_decay=0.5)
    set_trainable(model, config.trainable)
    groups = parameter_groups(model, config, start)
    rate = {id(p): round(g["lr"], 9) for g in groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    found: dict[str, set[float]] = {}
    for key, parameter in model.named_parameters():
        assert (id(parameter) in rate) == parameter.requires_grad
        if parameter.requires_grad:
            found.setdefault(parts_of(model)[key], set()).add(rate[id(parameter)])
            assert decay[id(parameter)] == (0.5 if parameter.ndim > 1 else 0.0)
    assert found == rates
    fast = {key for key, p in model.named_parameters() if p.requires_grad and rate[id(p)] == 1e-3}
    assert name != COCO or all("_predictor." in key for key in fast)


# ------------------------------------------------------------------------------ closed networks


def test_explicit_coco_without_network_names_file_and_folder(tmp_path: Path) -> None:
    for config in (ModelConfig(weights="coco"), ModelConfig(name=COCO)):
        with pytest.raises(UserError) as error:
            resolve(config)
        assert FILE_NAME in str(error.value) and str(tmp_path / "torch" / "hub" / "checkpoints") in str(
            error.value
        )
        assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.pth"))


def test_auto_without_network_falls_back_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    start = resolve(ModelConfig())
    assert (start.kind, start.model) == ("embedded", EMBEDDED)
    assert FILE_NAME in start.describe()["fallback"]
    warning = capsys.readouterr().err
    assert "EMBEDDED" in warning and len(warning.strip().splitlines()) >= 3


@pytest.mark.parametrize("harm", ["truncate", "flip"])
def test_a_damaged_cached_file_is_named(
    stand_in: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put_into_cache(stand_in)
    data = bytearray(stand_in.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged") as error:
        resolve(ModelConfig(weights="coco"))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert resolve(ModelConfig(weights="auto")).kind == "embedded"
    assert "damaged" in capsys.readouterr().err


def test_weights_that_do_not_go_with_the_model_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.pt"
    torch.save({"weight": torch.zeros(3)}, foreign)
    for config, message in [
        (ModelConfig(name=COCO, weights="embedded"), "are for"),
        (ModelConfig(name="yolo"), "unknown"),
        (ModelConfig(weights=str(tmp_path / "absent.pt")), "no such weights"),
        (ModelConfig(weights=str(foreign)), "not the weights of"),
    ]:
        with pytest.raises(UserError, match=message):
            resolve(config)


def test_a_torchvision_state_dict_is_a_start(stand_in: Path) -> None:
    start = resolve(ModelConfig(weights=str(stand_in)))
    assert (start.kind, start.model) == ("checkpoint", COCO)
    assert zipfile.is_zipfile(stand_in)


def test_a_model_from_nothing() -> None:
    start = resolve(ModelConfig(name=COCO, weights="none"))
    assert (start.kind, start.model, start.state) == ("none", COCO, None)


# ------------------------------------------------------------------------------ ignore regions


def test_boxes_in_an_ignore_region_are_left_out() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [6, 0, 16, 10], [40, 40, 50, 50]])
    region = torch.tensor([[0.0, 0, 10, 20]])
    assert covered(boxes, region).tolist() == [True, True, False, False]
    assert not covered(boxes, torch.zeros(0, 4)).any()


def test_nothing_in_an_ignore_region_counts_as_background() -> None:
    model = respect_ignore_regions(build_model(EMBEDDED, 3, SMALL)).train()
    boxes = torch.tensor([[0.0, 0, 10, 10], [60, 60, 90, 90]])
    target = {"boxes": torch.tensor([[60.0, 60, 90, 90]]), "ignore": torch.tensor([[0.0, 0, 20, 20]])}
    (labels,), _ = model.rpn.assign_targets_to_anchors([boxes], [target])
    assert labels.tolist() == [-1, 1]
    target |= {"labels": torch.tensor([1]), "masks": torch.ones(1, 96, 96, dtype=torch.uint8)}
    proposals, *_ = model.roi_heads.select_training_samples([boxes], [target])
    assert [0.0, 0, 10, 10] not in proposals[0].tolist()


@pytest.mark.parametrize(("images", "height"), [(1, 10), (1, 11), (2, 10)])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_gradients_of_a_depthwise_convolution(side: int, stride: int, images: int, height: int) -> None:
    """Ours, which it gets as a part of a body, against torch's of the same kernel."""
    ours = torch.nn.Conv2d(6, 6, side, stride, side // 2, groups=6)
    ours.bias.requires_grad_(False)
    kernel = ours.weight.detach().clone().requires_grad_()
    lite_convolutions(torch.nn.Sequential(ours))
    maps = [torch.rand(images, 6, height, 14).requires_grad_() for _ in range(2)]
    maps[1].data.copy_(maps[0].data)
    padded = F.pad(kernel, (1, 0, 1, 0)) if stride == 2 else kernel
    found, wanted = ours(maps[0]), F.conv2d(maps[1], padded, ours.bias, stride, side // 2, groups=6)
    assert torch.equal(found, wanted)
    weight = torch.rand_like(found)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    for a, b in ((ours.weight.grad, kernel.grad), (maps[0].grad, maps[1].grad)):
        assert a is not None and b is not None and torch.allclose(a, b, rtol=1e-5, atol=1e-5)


def test_padding_the_kernel_is_padding_the_map() -> None:
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    x = torch.rand(1, 3, 96, 160)
    with torch.no_grad():
        wanted = body(x)
        found = lite_convolutions(body)(x)
    assert not any(isinstance(m, Conv2dSame) for m in body.modules())
    for a, b in zip(wanted, found, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
