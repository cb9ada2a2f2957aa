"""Starts: ImageNet's bodies, files of all kinds, other classes, other heads; no network is asked."""

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
from pipeline.models.mask_rcnn import COCO, COCO_V2, EMBEDDED, build_model
from pipeline.models.pretrained import coco, from_file, resolve
from pipeline.training.train_state import initial_checkpoint
from tests.helpers.shapes import CLASSES
from tests.helpers.synthetic import write_tiny_model

SMALL = ModelConfig(min_size=96, max_size=96)


@pytest.fixture(autouse=True)
def closed_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and a proxy that refuses every connection."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def classifier(name: str, seed: int = 3) -> torch.nn.Module:
    """A whole network with statistics of its own, as an ImageNet file would hold it."""
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
def test_a_file_of_timms_gives_the_body_it_describes(name: str, suffix: str, tmp_path: Path) -> None:
    whole, path = classifier(name), tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(whole.state_dict(), path)
    start = resolve(ModelConfig(name=f"timm/{name}", weights=str(path)))
    assert (start.kind, start.model) == ("body", f"timm/{name}")
    model = build_model(start.model, 3, SMALL, start.state).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found = list(model.backbone.body(image))
        wanted = whole.forward_intermediates(image, intermediates_only=True)
    for tap, truth in zip(found, wanted[-4:], strict=True):
        assert torch.allclose(tap, truth, atol=1e-4), "frozen BatchNorm computes what BatchNorm did"


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(classifier("resnet18").state_dict(), path)
    for name in ("timm/resnet34", COCO, EMBEDDED):
        with pytest.raises(UserError, match=rf"model\.safetensors: not the weights of {name}"):
            resolve(ModelConfig(name=name, weights=str(path)))
    with pytest.raises(UserError, match="name the \\[model\\]"):
        resolve(ModelConfig(weights=str(path)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors: not a whole file"):
        resolve(ModelConfig(name="timm/resnet18", weights=str(path)))


@pytest.mark.parametrize("model", [COCO, COCO_V2])
def test_imagenets_resnet_comes_from_torchvisions_cache(model: str) -> None:
    whole, path = classifier("resnet50"), weight_files.cached(weight_files.RESNET_URL)
    path.parent.mkdir(parents=True)
    torch.save(whole.state_dict(), path)
    start = resolve(ModelConfig(name=model, weights="imagenet"))
    assert (start.kind, start.model) == ("imagenet", model) and path.name in start.source
    body = build_model(model, 3, SMALL, start.state).eval().backbone.body
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        (*_, found) = body(image).values()
        x = whole.maxpool(whole.relu(whole.bn1(whole.conv1(image))))
        wanted = whole.layer4(whole.layer3(whole.layer2(whole.layer1(x))))
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3), "eps 0 and eps 1e-5 alike"


def test_imagenet_on_a_closed_network_says_what_to_fetch(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"resnet50-0676ba61\.pth") as error:
        resolve(ModelConfig(weights="imagenet"))
    assert str(tmp_path / "torch") in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"weights of 'test_resnet' can't be had .*model\.safetensors"):
        resolve(ModelConfig(name="timm/test_resnet", weights="imagenet"))
    with pytest.raises(UserError, match="timm has no model 'resnet81'"):
        resolve(ModelConfig(name="timm/resnet81"))
    assert time.monotonic() - began < 30, "a closed network costs seconds"
    assert resolve(ModelConfig(name=EMBEDDED, weights="imagenet")).kind == "embedded"


def test_timms_weights_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    whole, folder = classifier("test_resnet"), tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(whole.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    start = resolve(ModelConfig(name="timm/test_resnet"))
    assert (start.kind, start.source) == ("imagenet", "timm test_resnet.r160_in1k, ImageNet")
    assert torch.equal(start.state["layer1.0.conv1.weight"], whole.state_dict()["layer1.0.conv1.weight"])


@pytest.mark.slow
def test_version_two_has_coco_weights_of_its_own() -> None:
    torch.manual_seed(2)
    path = weight_files.cached(weight_files.COCO_URLS[COCO_V2])
    path.parent.mkdir(parents=True)
    theirs = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91).state_dict()
    torch.save(theirs, path)
    start = resolve(ModelConfig(name=COCO_V2))
    assert (start.kind, start.model) == ("coco", COCO_V2)
    ours = build_model(COCO_V2, 3, SMALL, start.state).state_dict()
    kept = [k for k in ours if "_predictor." not in k]
    assert len(kept) > 300 and all(torch.equal(ours[k], theirs[k]) for k in kept)
    with pytest.raises(UserError, match=f"are for {COCO}, not for timm/resnet18|coco-bf2d0c1e"):
        resolve(ModelConfig(name="timm/resnet18", weights="coco"))
    # As a file it is recognised for what it is, whatever the number of its classes.
    assert from_file(path).model == COCO_V2
    # Under the other name its body serves.
    other = from_file(path, COCO)
    assert (other.kind, other.model) == ("body", COCO)
    assert torch.equal(other.state["conv1.weight"], theirs["backbone.body.conv1.weight"])


def profile(path: Path, classes: tuple[str, ...], name: str = "auto") -> Profile:
    model = ModelConfig(name=name, weights=str(path), min_size=96, max_size=128, detections_per_img=10)
    return Profile(name="x", seed=0, classes=classes, splits={}, model=model)


def start_of(wanted: Profile) -> Any:
    return initial_checkpoint(wanted, 4, "key", torch.device("cpu"))


def test_a_checkpoint_of_the_same_classes_keeps_its_predictors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_tiny_model(path, CLASSES)
    before, start = load_checkpoint(path), start_of(profile(path, CLASSES))
    assert start.start["kind"] == "checkpoint" and "new predictors" not in start.start["source"]
    assert all(torch.equal(start.state[k], v) for k, v in before.state.items())


@pytest.mark.parametrize("classes", [("forklift",), CLASSES[::-1], (*CLASSES, "forklift")])
def test_a_checkpoint_of_other_classes_gets_new_predictors_and_says_which(
    classes: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    write_tiny_model(path, CLASSES)
    before, start = load_checkpoint(path), start_of(profile(path, classes))
    assert start.start["source"].endswith("trained on pedestrian, pallet_truck: new predictors")
    changed = {k for k, v in before.state.items() if not torch.equal(start.state[k], v)}
    assert changed and all("_predictor." in k or ".pixels." in k for k in changed)
    assert len(start.state["roi_heads.box_predictor.cls_score.weight"]) == len(classes) + 1


def test_a_checkpoint_with_other_heads_gives_its_body(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    made = build_model(COCO_V2, 3, SMALL).state_dict()
    write_tiny_model(path, CLASSES, model=COCO_V2, config=dataclasses.asdict(SMALL), state=made)
    start = start_of(profile(path, CLASSES, COCO))
    assert start.start["kind"] == "body" and start.start["source"].startswith("the body of model.safetensors")
    body = {k: v for k, v in start.state.items() if k.startswith("backbone.body.")}
    assert all(torch.equal(v, made[k]) for k, v in body.items() if not k.endswith("running_var"))
    with pytest.raises(UserError, match="not the weights of timm/resnet18, nor of its body"):
        start_of(profile(path, CLASSES, "timm/resnet18"))


def test_an_evil_file_of_weights_runs_nothing(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "evil.pth"
    for write in (
        lambda: path.write_bytes(pickle.dumps(Malice())),
        lambda: torch.save({"x": Malice()}, path),
    ):
        write()
        with pytest.raises(UserError, match=r"evil\.pth: not a whole file of weights"):
            from_file(path)
    assert not (tmp_path / "made").exists()


def test_coco_for_another_model_names_its_own_file() -> None:
    with pytest.raises(UserError, match=r"maskrcnn_resnet50_fpn_v2_coco-73cbd019\.pth"):
        coco(COCO_V2)
