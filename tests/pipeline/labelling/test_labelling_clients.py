"""The tools' own packages read our masks, and we read theirs (extra ``clients``)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.labelling.brush_rle import decode_brush, encode_brush
from tests.pipeline.labelling.cases import propose, random_masks, read_masks, run_labels, write

pytestmark = pytest.mark.slow


def test_label_studio_reads_our_strokes_and_we_read_its() -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    for mask in random_masks(50):
        height, width = mask.shape
        alpha = brush.decode_rle(encode_brush(mask)).reshape(height, width, 4)[..., 3]
        assert np.array_equal(alpha, np.where(mask, 255, 0))
        assert np.array_equal(decode_brush(brush.mask2rle(mask * np.uint8(255)), width, height), mask)


def test_datumaro_reads_our_cvat_file_and_we_read_its(tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    masks = random_masks(20)
    folder = write("cvat", tmp_path / "ours", masks)
    (folder / "images").mkdir()
    for image in propose(masks):
        Image.new("RGB", (image.width, image.height)).save(folder / "images" / image.name)
    dataset = datumaro.Dataset.import_from(str(folder), "cvat")
    found = {item.id: np.asarray(item.annotations[0].image, bool) for item in dataset}
    assert len(found) == 20
    assert all(np.array_equal(found[f"{n:04d}-image"], mask) for n, mask in enumerate(masks))
    dataset.export(str(tmp_path / "theirs"), "cvat", save_media=False)
    assert run_labels(tmp_path / "theirs", tmp_path / "photos.json").exit_code == 0
    text = (tmp_path / "photos.json").read_bytes()
    others = read_masks(json.loads(text))
    assert all(np.array_equal(others[name], found[Path(name).stem]) for name in others) and len(others) == 20
