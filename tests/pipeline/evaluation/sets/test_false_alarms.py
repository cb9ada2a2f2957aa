"""The worst false alarms of a set: the features of boxes, and the groups of similar ones."""

from __future__ import annotations

import numpy as np
import pytest
from torchvision.models.detection import MaskRCNN

from pipeline.evaluation.matching import evaluate_detections
from pipeline.evaluation.sets.false_alarms import box_features, cluster, group_false_alarms
from pipeline.models.checkpoint import load_model
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.evaluation.cases import CATEGORIES

SIZE = (90, 160)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MaskRCNN:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_tiny_model(path)
    return load_model(path)[0]


def patches() -> np.ndarray:
    """Return an image (90, 160, 3): stripes in its left half, a plain red area in its right half."""
    image = np.full((*SIZE, 3), 90, np.uint8)
    image[:, :80:8] = 250
    image[:, 80:] = (200, 20, 20)
    return image


LEFT, RIGHT = [[4, 10, 30, 40], [40, 40, 30, 40]], [[90, 10, 30, 40], [120, 40, 30, 40]]
"""Boxes (x, y, w, h) on the stripes and on the red area."""


def test_boxes_of_the_same_look_have_similar_features(model: MaskRCNN) -> None:
    features = box_features(model, patches(), np.array([*LEFT, *RIGHT], float))
    assert features.shape[0] == 4 and np.allclose((features**2).sum(axis=1), 1)
    similar = features @ features.T
    assert min(similar[0, 1], similar[2, 3]) > max(similar[0, 2], similar[0, 3], similar[1, 2], similar[1, 3])
    twice = np.repeat(np.repeat(patches(), 2, axis=0), 2, axis=1)
    same = (box_features(model, twice, 2.0 * np.array(LEFT, float)) * features[:2]).sum(axis=1)
    assert same.min() > similar[0, 2] + 0.02, "boxes are in pixels of the image, of any size"


def test_groups_are_of_similar_false_alarms_the_highest_score_first(model: MaskRCNN) -> None:
    boxes = [*LEFT, *RIGHT, *LEFT, *RIGHT]
    detections = [
        {"image_id": 1 + n // 4, "category_id": 5, "bbox": box, "score": 0.9 - 0.02 * n}
        for n, box in enumerate(boxes)
    ]
    images = [{"id": n, "file_name": f"{n}.png", "width": SIZE[1], "height": SIZE[0]} for n in (1, 2)]
    truth = {"images": images, "annotations": [], "categories": CATEGORIES}
    read: list[int] = []

    def read_image(image: dict[str, int]) -> np.ndarray:
        read.append(image["id"])
        return patches()

    evaluation = evaluate_detections(truth, detections)
    groups = group_false_alarms(model, evaluation, 0.5, read_image)
    assert read == [1, 2], "each image is read once"
    found = [[crop["bbox"] for crop in group["crops"]] for group in groups]
    assert found == [[*LEFT, *LEFT], [*RIGHT, *RIGHT]]
    assert groups[0]["text"] == "4 pallet truck, scores 0.80 to 0.90, heights 44 to 44 % of the image"
    crop = groups[0]["crops"][0]
    assert crop["file_name"] == "1.png" and crop["class"] == "pallet_truck"
    assert crop["jpeg"].startswith("data:image/jpeg;base64,")
    assert group_false_alarms(model, evaluation, 0.95, read_image) == []


def test_clusters_do_not_depend_on_chance() -> None:
    rng = np.random.default_rng(3)
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    truth = rng.integers(0, 3, 18)
    points = centres[truth] + rng.normal(0, 0.3, (18, 2))
    groups = cluster(points)
    assert groups == cluster(points.copy())
    assert len(set(zip(groups, truth.tolist(), strict=True))) == 3
    assert cluster(np.zeros((0, 2))) == [] and cluster(np.zeros((9, 2))) == [0] * 9
