"""Auxiliary classes: learned, counted as background in prediction, and never reported."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.config import CocoConfig, ExtraSet, ModelConfig, TrainConfig, UserError
from pipeline.data.convert import convert_split
from pipeline.models.checkpoint import load_checkpoint, load_model, save_checkpoint
from pipeline.models.pretrained import initial_model, weights_from_file
from pipeline.models.registry import EMBEDDED, build_model
from pipeline.models.roi.box_outputs import auxiliary_as_background
from pipeline.training.dataset import CocoDataset
from pipeline.training.sampling.negatives import add_negatives
from tests.helpers.synthetic import CATEGORIES, write_split, write_tiny_model

AUXILIARY = ("forklift", "cage")
CONFIG = ModelConfig(
    weights="embedded", min_size=96, max_size=128, detections_per_img=10, box_rounds=2, auxiliary=AUXILIARY
)
PROFILE = """
name = "t"
seed = 0
classes = ["pedestrian", "pallet_truck"]
splits = { train = 2, val = 2 }
[model]
weights = "embedded"
min_size = 96
max_size = 128
detections_per_img = 10
auxiliary = ["forklift", "cage"]
[train]
epochs = 1
box_batch_size_per_image = 16
precision = "fp32"
processes = 1
focus = 1.0
"""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits") / "train"
    write_split(folder, frames=2, objects=6, categories=(*CATEGORIES, *AUXILIARY))
    convert_split(folder, CocoConfig())
    return folder


def write_model(path: Path) -> None:
    torch.manual_seed(1)
    model = build_model(EMBEDDED, 3, CONFIG)
    write_tiny_model(path, config=asdict(CONFIG), state=model.state_dict(), score_threshold=0.0)


def test_their_probability_counts_as_background() -> None:
    logits, offsets = torch.randn(7, 5), torch.randn(7, 20)
    fewer, moved = auxiliary_as_background(logits, offsets, 2)
    probabilities = logits.softmax(1)
    assert torch.allclose(fewer.softmax(1)[:, 1:], probabilities[:, 1:3], atol=1e-6)
    assert torch.allclose(fewer.softmax(1)[:, 0], probabilities[:, [0, 3, 4]].sum(1), atol=1e-6)
    assert torch.equal(moved, offsets[:, :12])
    assert auxiliary_as_background(logits, offsets, 0)[0] is logits


def test_no_detection_is_of_an_auxiliary_class(tmp_path: Path) -> None:
    write_model(tmp_path / "m.safetensors")
    model, checkpoint = load_model(tmp_path / "m.safetensors")
    heads = model.roi_heads
    assert heads.box_predictor.cls_score.out_features == 5
    assert heads.mask_predictor.mask_fcn_logits.out_channels == 3 and heads.pixels.out_channels == 4
    heads.score_thresh = 0.0
    with torch.no_grad():
        heads.box_predictor.cls_score.bias[:] = torch.tensor([0.0, 0.0, 0.0, 5.0, 5.0])
        (found,) = model([torch.rand(3, 96, 128)])
    assert len(found["labels"]) and set(found["labels"].tolist()) <= {1, 2}
    assert found["scores"].max() < 0.1  # nearly all of the probability is that of auxiliary classes
    assert checkpoint.classes == CATEGORIES and tuple(checkpoint.config["auxiliary"]) == AUXILIARY


def test_training_continues_from_a_checkpoint_with_the_same_auxiliary_classes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_model(path)
    start, state = weights_from_file(path), load_checkpoint(path).state
    score = "roi_heads.box_predictor.cls_score.weight"
    same = initial_model(start, CATEGORIES, CONFIG, 0).state_dict()
    assert torch.equal(same[score], state[score])
    fewer = initial_model(start, CATEGORIES, replace(CONFIG, auxiliary=("cage",)), 0)
    assert fewer.roi_heads.box_predictor.cls_score.out_features == 4 and fewer.roi_heads.auxiliary == 1
    assert fewer.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 3
    none = initial_model(start, CATEGORIES, replace(CONFIG, auxiliary=()), 0)
    assert (
        none.roi_heads.box_predictor.cls_score.out_features == 3 and none.roi_heads.pixels.out_channels == 2
    )
    broken = replace(load_checkpoint(path), config=asdict(replace(CONFIG, auxiliary=())))
    save_checkpoint(path, broken)
    with pytest.raises(UserError, match="its weights do not fit its classes"):
        load_model(path)


def test_labels_of_auxiliary_classes_follow_those_of_the_classes(split: Path) -> None:
    files = split / "annotations.json", split / "images"
    data = CocoDataset(*files, CATEGORIES, auxiliary=AUXILIARY)
    assert {n for _, target in (data[0], data[1]) for n in target["labels"].tolist()} == {1, 2, 3, 4}
    plain = CocoDataset(*files, CATEGORIES)
    assert {n for _, target in (plain[0], plain[1]) for n in target["labels"].tolist()} == {1, 2}
    # A set without such a category, a user's photographs for example, is no error.
    assert len(CocoDataset(*files, CATEGORIES, auxiliary=("ladder",))) == 2


def test_other_sets_and_negatives_do_not_label_auxiliary_classes(split: Path, tmp_path: Path) -> None:
    """There, auxiliary classes are allowed on the background: see test_losses.py."""
    files = split / "annotations.json", split / "images"
    photographs = write_split(tmp_path / "photographs", frames=1, objects=2, categories=CATEGORIES)
    convert_split(tmp_path / "photographs", CocoConfig())
    assert photographs.frames
    extra = ExtraSet(str(tmp_path / "photographs/annotations.json"), str(tmp_path / "photographs/images"))
    config = TrainConfig(negatives=(str(tmp_path / "photographs/images"),))
    data = add_negatives(CocoDataset(*files, CATEGORIES, auxiliary=AUXILIARY, extra=[extra]), config)
    assert [bool(data[i][1]["auxiliary_labelled"]) for i in range(4)] == [True, True, False, False]


def test_a_split_without_an_auxiliary_object_is_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_split(tmp_path / "val", frames=1, objects=1, categories=(*CATEGORIES, "cage"))
    changed = replace(manifest, auxiliary=("cage",))
    (tmp_path / "val/manifest.json").write_bytes(changed.to_bytes())
    convert_split(tmp_path / "val", CocoConfig())
    printed = capsys.readouterr()
    assert "class 'pallet_truck': 0 objects" in printed.out + printed.err
    assert "class 'cage'" not in printed.out + printed.err
    assert b"auxiliary" in changed.to_bytes() and b"auxiliary" not in manifest.to_bytes()


def test_train_predict_evaluate_and_export(split: Path, tmp_path: Path) -> None:
    profile, out = tmp_path / "p.toml", tmp_path / "out"
    profile.write_text(PROFILE)
    folders = ["--train", str(split), "--val", str(split), "--out", str(out)]
    ran = CliRunner().invoke(main, ["train", "--profile", str(profile), *folders])
    assert ran.exit_code == 0, ran.output
    files = ["--annotations", str(split / "annotations.json"), "--images", str(split / "images")]
    model = str(out / "model.safetensors")
    ran = CliRunner().invoke(main, ["evaluate", model, *files, "--out", str(tmp_path / "evaluation")])
    assert ran.exit_code == 0, ran.output
    assert "forklift" not in ran.output and "no class" not in ran.output
    ran = CliRunner().invoke(main, ["export", model, "--out", str(tmp_path / "model.onnx")])
    assert ran.exit_code == 0, ran.output
