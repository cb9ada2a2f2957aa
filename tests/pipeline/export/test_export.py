"""Models that leave the building: they find what their checkpoint finds, or are refused."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline import load_model
from pipeline.cli import main
from pipeline.config import ModelConfig
from pipeline.export.export import FORMATS, _facts, to_int8
from pipeline.export.quantize import check_int8, read_truth
from pipeline.inference.exported import KEY, PARSERS, Exported, read_exported, seal_onnx
from pipeline.inference.predictions import Prediction
from pipeline.inference.segmenter import Segmenter
from pipeline.models.checkpoint import load_model as load_checkpoint_model
from pipeline.models.checkpoint import seal
from pipeline.models.mask_rcnn import COCO, COCO_V2, EMBEDDED, TIMM, build_model
from tests.conftest import run
from tests.helpers.synthetic import write_tiny_model

SIZES = [(60, 90), (96, 96), (131, 50), (240, 321)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that looks at mirror images too, and what export makes of it."""
    path = tmp_path_factory.mktemp("export")
    write_tiny_model(path / "model.safetensors")
    model, checkpoint = load_checkpoint_model(path / "model.safetensors")
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias += torch.tensor([0.0, 0.0, 1.0])  # pallet trucks
    write_tiny_model(
        path / "model.safetensors", state=model.state_dict(), config=checkpoint.config | {"mirror": True}
    )
    for kind in ("onnx", "torchscript"):
        done = export(path / "model.safetensors", path / f"model.{kind}")
        assert done.exit_code == 0, done.output
        assert "as its checkpoint: " in done.output
    assert sorted(p.name for p in path.iterdir()) == ["model.onnx", "model.safetensors", "model.torchscript"]
    return path


def export(model: Path, out: Path, *more: object) -> Result:
    words = ["export", model, "--format", out.suffix[1:], "--out", out, *more]
    return CliRunner().invoke(main, [str(word) for word in words])


def pictures() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(7)
    for height, width in SIZES:
        small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        yield np.array(small.resize((width, height)))


def same(one: Prediction, other: Prediction) -> None:
    assert np.array_equal(one.labels, other.labels) and len(one.labels) > 0
    assert np.abs(one.boxes - other.boxes).max() <= 0.1
    assert np.abs(one.scores - other.scores).max() <= 1e-3
    both, either = (one.masks & other.masks).sum((1, 2)), (one.masks | other.masks).sum((1, 2))
    assert (both >= 0.99 * either).all()


@pytest.mark.parametrize("kind", PARSERS)
def test_it_finds_what_the_checkpoint_finds(folder: Path, kind: str) -> None:
    eager, away = load_model(folder / "model.safetensors"), load_model(folder / f"model{kind}")
    assert (away.classes, away.threshold) == (eager.classes, eager.threshold)
    for pixels in pictures():
        same(eager.predict(pixels, 0.0), away.predict(pixels, 0.0))
    assert away.predict(pixels, 1.0).masks.shape == (0, *SIZES[-1])
    with pytest.raises(UserError, match="run on the CPU"):
        load_model(folder / f"model{kind}", device="cuda")


@pytest.mark.slow  # export itself looks at this
def test_a_picture_without_objects(folder: Path) -> None:
    model, checkpoint = load_checkpoint_model(folder / "model.safetensors")
    facts = dataclasses.replace(_facts(model, checkpoint), min_box_score=0.99)
    nothing = PARSERS[".onnx"](FORMATS["onnx"](model, facts)(facts), "x")
    for pixels in pictures():
        found = nothing.find(pixels)
        assert found.boxes.shape == (0, 4) and found.masks.shape == (0, *pixels.shape[:2])


def test_anybody_can_run_the_onnx_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert facts["classes"] == ["pedestrian", "pallet_truck"] and facts["score_threshold"] == 0.3
    assert (facts["min_size"], facts["max_size"], facts["precision"]) == (96, 128, "fp32")
    assert facts["image_mean"] == pytest.approx([127 / 255] * 3) and facts["version"]
    boxes, labels, scores, masks = session.run(None, {"image": next(pictures())})
    assert boxes.shape == (len(scores), 4) and masks.shape == (len(scores), 28, 28) and labels.min() >= 1
    onnx.checker.check_model(onnx.load(folder / "model.onnx"))
    assert capfd.readouterr().err == "", "onnxruntime has nothing to warn of"


def test_a_difference_is_measured_and_nothing_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_checkpoint_model(folder / "model.safetensors")
    data = (folder / "model.onnx").read_bytes()
    with torch.no_grad():
        model.roi_heads.mask_predictor.mask_fcn_logits.bias += 0.5
        model.roi_heads.box_predictor.bbox_pred.bias += 0.1
    write_tiny_model(tmp_path / "model.safetensors", state=model.state_dict())
    monkeypatch.setitem(FORMATS, "onnx", lambda model, facts: lambda facts: data)  # another model's file
    done = export(tmp_path / "model.safetensors", tmp_path / "other.onnx")
    assert done.exit_code == 2
    said = re.search(r"boxes within (\S+) px, scores within (\S+), mask IoU at least (\S+);", done.output)
    assert said and float(said[1]) > 0.1 and float(said[3]) < 0.99, done.output
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the tool where torch, and whatever else an .onnx file needs not, cannot be imported."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'timm', 'onnx', 'av'): sys.modules[name] = None\n"
        "from pipeline.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
    )
    return run("-c", code, *words)


def test_predict_works_without_torch(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(pictures()):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    results = {}
    for kind in ("pt", "torchscript", "onnx"):
        out = tmp_path / kind
        words = ["predict", folder / f"model.{kind}", tmp_path / "in", "--out", out, "--threshold", "0.01"]
        if kind == "onnx":
            done = without_torch(*words)
            assert done.returncode == 0, done.stderr
        else:
            assert CliRunner().invoke(main, list(map(str, words))).exit_code == 0
        assert len(list(out.glob("*.png"))) == len(SIZES) and (out / "predictions.csv").exists()
        results[kind] = json.loads((out / "predictions.json").read_bytes())
    for kind in ("onnx", "torchscript"):
        assert len(results[kind]) == len(results["pt"]) > 0
        for ours, theirs in zip(results["pt"], results[kind], strict=True):
            assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=0.2)
            assert (ours["image_id"], ours["category_id"]) == (theirs["image_id"], theirs["category_id"])
    done = without_torch("predict", folder / "model.torchscript", tmp_path / "in", "--out", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "needs torch" in done.stderr


def foreign(data: bytes) -> bytes:
    """A sound model of somebody else's."""
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]).SerializeToString()


def changed(data: bytes, **facts: object) -> bytes:
    """Ours with other facts, and a seal that is right."""
    proto = onnx.load_from_string(data)
    said = json.loads(next(p.value for p in proto.metadata_props if p.key == KEY)) | facts
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {KEY: json.dumps(said)})
    return seal_onnx(proto.SerializeToString())


def outside(data: bytes) -> bytes:
    """Ours, but for weights that are to be read from another file of the user's."""
    proto = onnx.load_from_string(data)
    tensor = max(proto.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../../../etc/passwd")
    return seal_onnx(proto.SerializeToString())


EVIL = {
    "empty": (lambda data: b"", "truncated"),
    "text": (lambda data: b"hello, world\n" * 40, "truncated"),
    "foreign": (foreign, "not written by 'transpalette export'"),
    "foreign, sealed": (lambda data: seal_onnx(foreign(data)), "does not say what it is"),
    "garbage, sealed": (lambda data: seal_onnx(b"\xff" * 999), "not a model that onnxruntime can run"),
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "truncated by a byte": (lambda data: data[:-1], "truncated"),
    "a flipped bit": (lambda data: data[:99999] + bytes([data[99999] ^ 1]) + data[100000:], "damaged"),
    "classes of another model": (lambda data: changed(data, classes=["pedestrian"]), "cannot be"),
    "no classes": (lambda data: changed(data, classes=[]), "classes must be named"),
    "another type": (lambda data: changed(data, score_threshold="high"), "expected float"),
    "an unknown fact": (lambda data: changed(data, colour="red"), "unknown key 'colour'"),
    "a later format": (lambda data: changed(data, format=3), "export again"),
    "weights elsewhere": (outside, "not a model that onnxruntime can run"),
}


@pytest.mark.parametrize("case", EVIL)
def test_evil_onnx_files_end_in_one_line(folder: Path, tmp_path: Path, case: str) -> None:
    make, says = EVIL[case]
    (tmp_path / "x.onnx").write_bytes(make((folder / "model.onnx").read_bytes()))
    Image.fromarray(next(pictures())).save(tmp_path / "a.png")
    words = [
        "predict",
        tmp_path / "x.onnx",
        tmp_path / "a.png",
        "--out",
        tmp_path / "out",
        "--threshold",
        "0",
    ]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == (1 if case == "classes of another model" else 2), done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert "x.onnx" in line and says in line


def test_evil_torchscript_files_end_in_one_line(folder: Path, tmp_path: Path) -> None:
    data = (folder / "model.torchscript").read_bytes()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), tmp_path / "foreign")
    theirs = (tmp_path / "foreign").read_bytes()
    cases = {
        data[: len(data) // 2]: "truncated",
        data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]: "damaged",
        theirs: "not a file of 'transpalette export'",
        seal(theirs): "does not say what it is",
        (folder / "model.safetensors").read_bytes(): "not a TorchScript model",
    }
    for content, says in cases.items():
        (tmp_path / "x.torchscript").write_bytes(content)
        with pytest.raises(UserError, match=f"x.torchscript: .*{says}"):
            load_model(tmp_path / "x.torchscript")


def test_mistakes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = folder / "model.safetensors"
    assert (
        "must be named *.onnx"
        in CliRunner()
        .invoke(main, ["export", str(model), "--format", "onnx", "--out", str(tmp_path / "a.bin")])
        .output
    )
    assert "known: onnx, torchscript" in export(model, tmp_path / "a.tflite").output
    for more in ([], ["--images", folder]):
        done = export(model, tmp_path / "a.onnx", "--int8", *more)
        assert done.exit_code == 2 and "--annotations FILE and --images DIR" in done.output
    assert "no such checkpoint" in export(tmp_path / "no.pt", tmp_path / "a.onnx").output
    with pytest.raises(UserError, match="no such model; write one first"):
        load_model(tmp_path / "no.onnx")
    for missing in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            done = export(model, tmp_path / "a.onnx")
            assert (
                done.exit_code == 2 and f"needs {missing}: pip install 'transpalette[export]'" in done.output
            )
    assert list(tmp_path.iterdir()) == []


def truth_of(model: Segmenter, where: Path) -> Path:
    """A COCO file that holds what ``model`` finds in the pictures, and so gives it an AP of 1."""
    images, annotations = [], []
    (where / "images").mkdir(parents=True)
    for number, pixels in enumerate(pictures(), start=1):
        height, width = pixels.shape[:2]
        name = f"{number}.png"
        Image.fromarray(pixels).save(where / "images" / name)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        found = model.predict(pixels, 0.0)
        sound = [n for n, rle in enumerate(found.rles) if mask_utils.area(rle) > 0]
        for n in sound:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(found.labels[n]),
                    "segmentation": found.rles[n],
                    "bbox": mask_utils.toBbox(found.rles[n]).tolist(),
                    "area": int(mask_utils.area(found.rles[n])),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label, "name": name} for label, name in enumerate(model.classes, start=1)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (where / "annotations.json").write_text(json.dumps(table))
    return where / "annotations.json"


@pytest.mark.slow
def test_8_bits_are_kept_only_if_they_cost_little(folder: Path, tmp_path: Path) -> None:
    plain = read_exported(folder / "model.onnx")
    data = to_int8((folder / "model.onnx").read_bytes(), plain)
    assert len(data) < 0.32 * (folder / "model.onnx").stat().st_size
    small = PARSERS[".onnx"](data, "small.onnx")
    assert small.facts == dataclasses.replace(plain.facts, precision="int8")
    for pixels in pictures():
        assert len(small.find(pixels).labels) == len(plain.find(pixels).labels) > 0
    truth = truth_of(load_model(folder / "model.onnx"), tmp_path)
    read = read_truth(truth, tmp_path / "images", plain.facts.classes)
    assert "boxes 1.000 -> 1.000, masks 1.000 -> 1.000 on 4 images" in check_int8(plain, plain, read)
    with pytest.raises(UserError, match=r"AP50 boxes 1.000 -> .* a loss of at most 0.02 is wanted"):
        check_int8(plain, _noisy(plain), read)


@pytest.mark.slow
def test_8_bits_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    truth = truth_of(load_model(folder / "model.onnx"), tmp_path)
    write_tiny_model(tmp_path / "other.pt")
    done = export(
        tmp_path / "other.pt",
        tmp_path / "other.onnx",
        "--int8",
        "--annotations",
        truth,
        "--images",
        tmp_path / "images",
    )
    assert done.exit_code == 2 and "finds next to nothing in these images" in done.output
    assert not (tmp_path / "other.onnx").exists()


def _noisy(exported: Exported) -> Exported:
    """One whose boxes are somewhere else."""

    def raw(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        boxes, *others = exported.raw(pixels)
        return np.clip(boxes + 40, 0, 60).astype(np.float32), *others

    return dataclasses.replace(exported, raw=raw)


@pytest.mark.slow
@pytest.mark.parametrize("name", [COCO, COCO_V2, EMBEDDED, f"{TIMM}resnet18", f"{TIMM}convnext_atto"])
def test_every_kind_of_network_can_leave(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(min_size=96, max_size=128, detections_per_img=10)
    model = build_model(name, 3, config)
    with torch.no_grad():  # of random weights, but not undecided between all boxes: rounding would decide
        model.rpn.head.cls_logits.weight *= 20
        model.roi_heads.box_predictor.cls_score.weight *= 5
    facts = {"model": name, "config": dataclasses.asdict(config), "state": model.state_dict()}
    write_tiny_model(tmp_path / "model.safetensors", **facts)
    for kind in FORMATS:
        done = export(tmp_path / "model.safetensors", tmp_path / f"model.{kind}")
        assert done.exit_code == 0, done.output
