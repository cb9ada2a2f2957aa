"""Events of a rendered clip, whose floor positions are known: exact masks in the place of a detector."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from pipeline.data.images import read_image
from pipeline.data.rle import as_rle
from pipeline.inference.detections import Detections
from pipeline.inference.segmenter import Segmenter
from pipeline.metres.camera import recorded_camera
from pipeline.metres.estimate import floor_positions, load_distance_model
from pipeline.metres.shapes import shapes_of
from tests.conftest import TINY, render
from tests.pipeline.inference.commands import predict

FRAMES, RATE = 16, 8
CLASSES = ("pedestrian", "pallet_truck")
SIZE = (240, 180)


@pytest.fixture(scope="module")
def clip(tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The COCO-VID file of a clip, with the folder of its frames as "folder"."""
    folder = tmp_path_factory.mktemp("clip")
    text = TINY.replace("train = 4", f"train = {FRAMES}").replace(
        "width = 96\nheight = 72", f"width = {SIZE[0]}\nheight = {SIZE[1]}"
    )
    text = text.replace("count = [1, 1]", "count = [3, 3]")
    text += f"\n[scene.clip]\nframes = {FRAMES}\nwalking = [1.0, 1.4]\nmoving_camera = 0.0\n"
    (folder / "clip.toml").write_text(text)
    done = render(folder / "clip.toml", tiny_people, folder / "train", "--workers", 1)
    assert done.returncode == 0, done.stderr
    annotations = convert_split(folder / "train", CocoConfig(min_pixels=1, min_visible_fraction=0.0))
    dataset: dict[str, Any] = json.loads(annotations.read_bytes())
    return dataset | {"folder": folder / "train" / "images"}


def true_gaps(clip: dict[str, Any]) -> dict[tuple[int, int], list[float]]:
    """Return the metres between each person and truck (ids of objects), in the frames that show both."""
    gaps: dict[tuple[int, int], list[float]] = defaultdict(list)
    model, names = load_distance_model(), [c["name"] for c in clip["categories"]]
    for image in clip["images"]:
        found = [a for a in clip["annotations"] if a["image_id"] == image["id"]]
        kinds = [names[a["category_id"] - 1] for a in found]
        distances = np.array([a["distance"] for a in found], float)
        tops = np.array([model.tops[kind] for kind in kinds])
        camera = recorded_camera(image["camera"])
        places = floor_positions(distances, shapes_of(found, SIZE), camera, tops)
        for one, person in enumerate(found):
            for other, truck in enumerate(found):
                if (kinds[one], kinds[other]) == CLASSES:
                    gap = float(np.linalg.norm(places[one] - places[other]))
                    gaps[person["track_id"], truck["track_id"]].append(gap)
    return gaps


@pytest.mark.slow
def test_events_of_a_rendered_clip_are_those_of_the_true_positions(
    clip: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_pixels: dict[bytes, Detections] = {}
    for image in clip["images"]:
        found = [a for a in clip["annotations"] if a["image_id"] == image["id"]]
        boxes = np.array([a["bbox"] for a in found], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        pixels = read_image(clip["folder"] / image["file_name"], upright=True).pixels
        of_pixels[pixels.tobytes()] = Detections(
            boxes,
            np.array([a["category_id"] for a in found]),
            np.full(len(found), 0.9, np.float32),
            [as_rle(a["segmentation"], *SIZE) for a in found],
            (SIZE[1], SIZE[0]),
        )

    def look_up(pixels: npt.NDArray[np.uint8]) -> Detections:
        return of_pixels[pixels.tobytes()]

    segmenter = Segmenter(None, CLASSES, 0.5, look_up)
    monkeypatch.setattr("pipeline.inference.predict.load", lambda path, classes: segmenter)
    (tmp_path / "m.safetensors").write_bytes(b"model")
    camera = recorded_camera(clip["images"][0]["camera"])
    keys = {"height": camera.height, "pitch": camera.pitch, "roll": camera.roll, "fov": camera.fov}
    lines = [f'lens = "{camera.lens}"', *(f"{key} = {value}" for key, value in keys.items())]
    (tmp_path / "camera.toml").write_text("\n".join(lines))
    gaps = {pair: values for pair, values in true_gaps(clip).items() if len(values) == FRAMES}
    closest = sorted(min(values) for values in gaps.values())
    assert len(closest) >= 2, "pairs that are in all frames"
    limit = (closest[0] + closest[-1]) / 2
    options = ["--frame-rate", RATE, "--track", "--camera-file", tmp_path / "camera.toml"]
    options += ["--event-distance", limit, "--event-seconds", 0.5]
    run = predict(tmp_path / "m.safetensors", clip["folder"], *options, out=tmp_path / "out", threshold=None)
    assert run.exit_code == 0, run.output
    events = json.loads((tmp_path / "out" / "events.json").read_bytes())["events"]
    certain = [values for values in gaps.values() if np.median(values) < 0.7 * limit]
    possible = [values for values in gaps.values() if min(values) < 1.3 * limit]
    pairs = {(event["person_track"], event["truck_track"]) for event in events}
    assert certain and len(certain) <= len(pairs) <= len(possible)
    smallest = min(events, key=lambda event: event["closest"])
    assert smallest["closest_low"] * 0.9 <= closest[0] <= smallest["closest_high"] * 1.1
