"""Start weights: ImageNet's bodies, files of all kinds, other classes, other heads; without a network."""

from __future__ import annotations

import dataclasses
import os
import pickle
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2

from pipeline.config import ModelConfig, Profile, UserError
from pipeline.models import weight_files
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.predictors import Labels, copy_known_rows
from pipeline.models.pretrained import coco_weights, resolve, weights_from_file
from pipeline.models.registry import COCO, COCO_V2, EMBEDDED, build_model
from pipeline.training.train_state import initial_checkpoint
from tests.helpers.shapes import CLASSES
from tests.helpers.synthetic import write_tiny_model

SMALL = ModelConfig(min_size=96, max_size=96)


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and a proxy that refuses every connection."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def classifier(name: str, seed: int = 3) -> Any:
    """A complete classifier (of timm, torchvision) with batch norm statistics, like an ImageNet file."""
    torch.manual_seed(seed)
    model = timm.create_model(name) if name != "resnet50" else resnet50()
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_var"):
                buffer.uniform_(0.5, 2)
            elif key.endswith("running_mean"):
                buffer.uniform_(-1, 1)
    return model.eval()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_classifier_file_of_timm_gives_its_body(name: str, suffix: str, tmp_path: Path) -> None:
    network, path = classifier(name), tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(network.state_dict(), path)
    start = resolve(ModelConfig(name=f"timm/{name}", weights=str(path)))
    assert (start.kind, start.model) == ("body", f"timm/{name}")
    model = build_model(start.model, 3, SMALL, start.state).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        actual = list(model.backbone.body(image))
        expected = network.forward_intermediates(image, intermediates_only=True)
    for a, b in zip(actual, expected[-4:], strict=True):
        assert torch.allclose(a, b, atol=1e-4), "frozen batch norm equals batch norm in eval mode"


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(classifier("resnet18").state_dict(), path)
    for name in ("timm/resnet34", COCO, EMBEDDED):
        with pytest.raises(UserError, match=rf"model\.safetensors: not the weights of {name}"):
            resolve(ModelConfig(name=name, weights=str(path)))
    with pytest.raises(UserError, match="set \\[model\\] name"):
        resolve(ModelConfig(weights=str(path)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors: not a complete file"):
        resolve(ModelConfig(name="timm/resnet18", weights=str(path)))


@pytest.mark.parametrize("model", [COCO, COCO_V2])
def test_imagenet_resnet_comes_from_torchvisions_cache(model: str) -> None:
    network, path = classifier("resnet50"), weight_files.cache_path(weight_files.RESNET_URL)
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    start = resolve(ModelConfig(name=model, weights="imagenet"))
    assert (start.kind, start.model) == ("imagenet", model) and path.name in start.source
    body = build_model(model, 3, SMALL, start.state).eval().backbone.body
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        (*_, actual) = body(image).values()
        x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
        expected = network.layer4(network.layer3(network.layer2(network.layer1(x))))
    assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-3), "with eps 0 and with eps 1e-5"


def test_imagenet_without_network_names_the_file_to_download(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"resnet50-0676ba61\.pth") as error:
        resolve(ModelConfig(weights="imagenet"))
    assert str(tmp_path / "torch") in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"weights of 'test_resnet' are not available .*model\.safetensors"):
        resolve(ModelConfig(name="timm/test_resnet", weights="imagenet"))
    with pytest.raises(UserError, match="timm has no model 'resnet81'"):
        resolve(ModelConfig(name="timm/resnet81"))
    assert time.monotonic() - start < 30, "a missing network costs seconds"
    assert resolve(ModelConfig(name=EMBEDDED, weights="imagenet")).kind == "embedded"


def test_timm_weights_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    network, folder = classifier("test_resnet"), tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(network.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    start = resolve(ModelConfig(name="timm/test_resnet"))
    assert (start.kind, start.source) == ("imagenet", "timm test_resnet.r160_in1k, ImageNet")
    assert start.state is not None
    assert torch.equal(start.state["layer1.0.conv1.weight"], network.state_dict()["layer1.0.conv1.weight"])


@pytest.mark.slow
def test_coco_v2_has_its_own_weights() -> None:
    torch.manual_seed(2)
    path = weight_files.cache_path(weight_files.COCO_URLS[COCO_V2])
    path.parent.mkdir(parents=True)
    saved = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91).state_dict()
    torch.save(saved, path)
    start = resolve(ModelConfig(name=COCO_V2))
    assert (start.kind, start.model) == ("coco", COCO_V2)
    loaded = build_model(COCO_V2, 3, SMALL, start.state).state_dict()
    common = [k for k in loaded if "_predictor." not in k]
    assert len(common) > 300 and all(torch.equal(loaded[k], saved[k]) for k in common)
    with pytest.raises(UserError, match=f"are for {COCO}, not for timm/resnet18|coco-bf2d0c1e"):
        resolve(ModelConfig(name="timm/resnet18", weights="coco"))
    # As a file its model is recognised, whatever the number of its classes.
    assert weights_from_file(path).model == COCO_V2
    # For the other model its body is used.
    other = weights_from_file(path, COCO)
    assert (other.kind, other.model) == ("body", COCO) and other.state is not None
    assert torch.equal(other.state["conv1.weight"], saved["backbone.body.conv1.weight"])


def make_profile(path: Path, classes: tuple[str, ...], name: str = "auto") -> Profile:
    model = ModelConfig(name=name, weights=str(path), min_size=96, max_size=128, detections_per_img=10)
    return Profile(name="x", seed=0, classes=classes, splits={}, model=model)


def start_training(profile: Profile) -> Any:
    return initial_checkpoint(profile, 4, "key", torch.device("cpu"))


def test_checkpoint_of_the_same_classes_keeps_its_predictors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_tiny_model(path, CLASSES)
    before, start = load_checkpoint(path), start_training(make_profile(path, CLASSES))
    assert start.start["kind"] == "checkpoint" and "new predictors" not in start.start["source"]
    assert all(torch.equal(start.state[k], v) for k, v in before.state.items())


@pytest.mark.parametrize("classes", [("forklift",), CLASSES[::-1], ("forklift", *CLASSES)])
def test_checkpoint_of_other_classes_keeps_the_predictors_of_known_ones(
    classes: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    write_tiny_model(path, CLASSES)
    before, start = load_checkpoint(path), start_training(make_profile(path, classes))
    source = start.start["source"].partition(", trained on ")[2]
    new = ": new predictors for forklift" if "forklift" in classes else ""
    assert source == f"pedestrian, pallet_truck{new}"
    changed = {k for k, v in before.state.items() if not torch.equal(start.state[k], v)}
    assert changed and all("_predictor." in k or ".pixels." in k for k in changed)
    assert not any("conv5_mask" in k for k in changed)  # all classes share this layer

    old, own = (c.state["roi_heads.box_predictor.cls_score.weight"] for c in (before, start))
    old_offsets, offsets = (c.state["roi_heads.box_predictor.bbox_pred.bias"] for c in (before, start))
    old_masks, masks = (c.state["roi_heads.mask_predictor.mask_fcn_logits.weight"] for c in (before, start))
    assert torch.equal(own[0], old[0]) and len(own) == len(classes) + 1
    for label, name in enumerate(classes, start=1):
        if name in CLASSES:
            known = CLASSES.index(name) + 1
            assert torch.equal(own[label], old[known]) and torch.equal(masks[label], old_masks[known])
            assert torch.equal(offsets[4 * label :][:4], old_offsets[4 * known :][:4])


def test_an_auxiliary_class_of_a_checkpoint_can_become_a_class() -> None:
    """Its box predictor and its pixels are known then, its masks are not."""
    torch.manual_seed(0)
    source = build_model(EMBEDDED, 2, dataclasses.replace(SMALL, auxiliary=("cage", "guard"))).state_dict()
    model = build_model(EMBEDDED, 3, dataclasses.replace(SMALL, auxiliary=("ladder", "cage")))
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    copy_known_rows(
        model, source, Labels(("crate",), ("cage", "guard")), Labels(("guard", "crate"), ("ladder", "cage"))
    )
    own = model.state_dict()
    boxes, masks, pixels = (
        f"roi_heads.{name}.weight"
        for name in ("box_predictor.cls_score", "mask_predictor.mask_fcn_logits", "pixels")
    )
    assert torch.equal(
        own[boxes],
        torch.stack(
            [source[boxes][0], source[boxes][3], source[boxes][1], fresh[boxes][3], source[boxes][2]]
        ),
    )
    assert torch.equal(own[masks], torch.stack([source[masks][0], fresh[masks][1], source[masks][1]]))
    assert torch.equal(
        own[pixels], torch.stack([source[pixels][2], source[pixels][0], fresh[pixels][2], source[pixels][1]])
    )


def test_checkpoint_with_other_heads_gives_its_body(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    state_dict = build_model(COCO_V2, 3, SMALL).state_dict()
    write_tiny_model(path, CLASSES, model=COCO_V2, config=dataclasses.asdict(SMALL), state=state_dict)
    start = start_training(make_profile(path, CLASSES, COCO))
    assert start.start["kind"] == "body" and start.start["source"].startswith("the body of model.safetensors")
    body = {k: v for k, v in start.state.items() if k.startswith("backbone.body.")}
    assert all(torch.equal(v, state_dict[k]) for k, v in body.items() if not k.endswith("running_var"))
    with pytest.raises(UserError, match="not the weights of timm/resnet18, nor of its body"):
        start_training(make_profile(path, CLASSES, "timm/resnet18"))


def test_pickled_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "evil.pth"
    for write in (
        lambda: path.write_bytes(pickle.dumps(Malice())),
        lambda: torch.save({"x": Malice()}, path),
    ):
        write()
        with pytest.raises(UserError, match=r"evil\.pth: not a complete file of weights"):
            weights_from_file(path)
    assert not (tmp_path / "made").exists()


def test_missing_coco_v2_weights_name_their_own_file() -> None:
    with pytest.raises(UserError, match=r"maskrcnn_resnet50_fpn_v2_coco-73cbd019\.pth"):
        coco_weights(COCO_V2)


def test_weights_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.pt"
    torch.save({"weight": torch.zeros(3)}, foreign)
    for config, message in [
        (ModelConfig(name=COCO, weights="embedded"), "are for"),
        (ModelConfig(name="yolo"), "unknown"),
        (ModelConfig(weights=str(tmp_path / "absent.safetensors")), "no such weights"),
        (ModelConfig(weights=str(foreign)), "not the weights of"),
    ]:
        with pytest.raises(UserError, match=message):
            resolve(config)


def test_missing_home_folder_is_reported_before_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME, torch and huggingface_hub would write to a folder named "~" in the working directory."""
    monkeypatch.setattr("torch.hub.get_dir", lambda: "~/.cache/torch/hub")
    with pytest.raises(weight_files.WeightsError, match=r"no home folder .* set HOME or TORCH_HOME"):
        weight_files.load_torchvision("https://example.org/weights-12345678.pth")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(weight_files.WeightsError, match="set HOME or HF_HOME"):
        weight_files.load_timm("resnet18")
