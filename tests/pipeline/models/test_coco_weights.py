"""COCO's weights: found in torchvision's cache, loaded, trained and saved; without a network connection."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from pipeline.config import ModelConfig, TrainConfig, UserError
from pipeline.models.pretrained import coco_weights_path, resolve
from pipeline.models.registry import COCO, EMBEDDED, build_model, training_options
from tests.pipeline.models.training_step import SMALL, check_reload, train_one_step

FILE_NAME = "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a proxy that refuses every connection."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the keys and shapes of torchvision's own, under its name."""
    path = tmp_path_factory.mktemp("weights") / FILE_NAME
    torch.manual_seed(7)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    # torchvision's file has no num_batches_tracked: its batch norm was frozen.
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, path)
    return path


def put_into_cache(weights_file: Path) -> Path:
    path = coco_weights_path()
    path.parent.mkdir(parents=True)
    path.symlink_to(weights_file)
    return path


def test_cache_path_is_torchvisions(tmp_path: Path) -> None:
    assert coco_weights_path() == tmp_path / "torch" / "hub" / "checkpoints" / FILE_NAME
    assert MaskRCNN_ResNet50_FPN_Weights.DEFAULT.url.endswith(f"/{FILE_NAME}")


@pytest.mark.parametrize("weights", ["coco", "auto"])
def test_cached_coco_weights_are_loaded(weights_file: Path, weights: str) -> None:
    put_into_cache(weights_file)
    start = resolve(ModelConfig(weights=weights))
    assert (start.kind, start.model, start.fallback) == ("coco", COCO, "")
    assert "NOT torchvision's own file" in start.source
    expected = torch.load(weights_file, weights_only=True)
    model = build_model(COCO, 3, SMALL, start.state)
    state = model.state_dict()
    predictors = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.")
    assert set(state) == set(expected)
    assert all(torch.equal(state[k], expected[k]) for k in state if not k.startswith(predictors))
    assert model.roi_heads.box_predictor.cls_score.out_features == 3
    assert model.roi_heads.box_predictor.bbox_pred.out_features == 12
    assert model.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 3
    norms = [m for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) == 53 and {m.eps for m in norms} == {0.0}
    assert not [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_training_the_heads_of_coco_moves_only_them_and_reload_is_bit_identical(
    weights_file: Path, tmp_path: Path
) -> None:
    put_into_cache(weights_file)
    start = resolve(ModelConfig(weights="coco"))
    model = build_model(COCO, 3, SMALL, start.state, **training_options(TrainConfig()))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train_one_step(model, tmp_path / "split", ("heads",), "coco")
    after = model.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed and all(k.startswith(("rpn.", "roi_heads.")) for k in changed)
    assert {"roi_heads.box_predictor.cls_score.weight", "rpn.head.cls_logits.weight"} <= changed
    # Fails also if the reloaded batch norm has another eps, or is not frozen: the outputs would differ.
    model.roi_heads.score_thresh = 0.0
    check_reload(model, COCO, tmp_path / "model.safetensors")


def test_explicit_coco_without_network_names_file_and_folder(tmp_path: Path) -> None:
    for config in (ModelConfig(weights="coco"), ModelConfig(name=COCO)):
        with pytest.raises(UserError) as error:
            resolve(config)
        message, folder = str(error.value), str(tmp_path / "torch" / "hub" / "checkpoints")
        assert FILE_NAME in message and folder in message and "\n" not in message
    assert not list(tmp_path.rglob("*.pth"))


def test_auto_without_network_falls_back_with_a_note(
    warehouse_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = resolve(ModelConfig())
    assert (start.kind, start.model) == ("warehouse", EMBEDDED)
    assert FILE_NAME in start.describe()["fallback"] and warehouse_file.name in start.source
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: COCO's weights are not available") and FILE_NAME in note


@pytest.mark.parametrize("damage", ["truncate", "flip"])
@pytest.mark.usefixtures("warehouse_file")
def test_damaged_cached_file_is_named(
    weights_file: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put_into_cache(weights_file)
    data = bytearray(weights_file.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged") as error:
        resolve(ModelConfig(weights="coco"))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert resolve(ModelConfig(weights="auto")).kind == "warehouse"
    assert "damaged" in capsys.readouterr().err


def test_torchvision_state_dict_file_is_a_checkpoint(weights_file: Path) -> None:
    start = resolve(ModelConfig(weights=str(weights_file)))
    assert (start.kind, start.model) == ("checkpoint", COCO)
    assert zipfile.is_zipfile(weights_file)
