"""Files in the format "CVAT for images 1.1"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from tests.pipeline.labelling.cases import (
    IMAGE,
    SQUARE,
    XML,
    check_error,
    read_labels,
    run_labels,
    write_cvat_file,
)


def test_polygons_boxes_and_groups_of_cvat(tmp_path: Path) -> None:
    square = "20.00,10.00;50.00,10.00;50.00,30.00;20.00,30.00"
    corner = "-9.00,50.00;10.00,50.00;10.00,70.00;-9.00,70.00"  # a corner of it is in the image
    export = write_cvat_file(
        tmp_path / "annotations.xml",
        f'<polygon label="person" occluded="0" points="{square}" z_order="0"></polygon>',
        '<box label="person" xtl="5.5" ytl="6" xbr="15.5" ybr="16"></box>',
        '<box label="crate" xtl="20" ytl="20" xbr="40" ybr="40" rotation="45"></box>',
        f'<polygon label="crate" points="{square}" group_id="3"/>',
        f'<polygon label="crate" points="{corner}" group_id="3"/>',
        '<ellipse label="crate" cx="1" cy="1" rx="1" ry="1"/>',
        '<polygon label="crate" points="90,1;99,1;99,9"/>',
        '<tag label="night"/>',
    )
    dataset = read_labels(export)
    assert [c["name"] for c in dataset["categories"]] == ["person", "crate"]
    first, box, turned, group = dataset["annotations"]
    assert np.array_equal(mask_utils.decode(first["segmentation"]), SQUARE)
    assert box["bbox"] == [5.5, 6, 10, 10] and "segmentation" not in box
    assert np.allclose(turned["bbox"], [30 - 10 * 2**0.5, 30 - 10 * 2**0.5, 20 * 2**0.5, 20 * 2**0.5])
    assert group["area"] == 600 + 100 and group["bbox"] == [0, 10, 50, 50]
    notes = run_labels(export, tmp_path / "again.json").output
    assert "note: left out: 1 ellipse, 1 without a pixel in the image" in notes


def test_labels_and_images_of_cvat_without_objects_stay(tmp_path: Path) -> None:
    meta = "<meta><job><labels><label><name>person</name></label></labels></job></meta>"
    export = tmp_path / "annotations.xml"
    export.write_text(XML.format(meta + IMAGE.format("")))
    dataset = read_labels(export)
    assert len(dataset["images"]) == 1 and not dataset["annotations"]
    assert dataset["categories"] == [{"id": 1, "name": "person"}]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<mask label="a" rle="1, x" left="0" top="0" width="2" height="2"/>', ("'x'",)),
        ('<mask label="a" rle="1, 1" left="0" top="0" width="2" height="2"/>', ("rle",)),
        ('<mask label="a" rle="1, 3" left="0" top="0" width="2"/>', ("lacks 'height'",)),
        ('<polygon label="a" points="1,2;3,4"/>', ("three points",)),
        ('<polygon label="a" points="1,2;3,4;nan,1"/>', ("nan",)),
        ('<box xtl="1" ytl="1" xbr="2" ybr="2"/>', ("lacks 'label'",)),
    ],
)
def test_malformed_shapes_of_cvat_are_named(shape: str, words: tuple[str, ...], tmp_path: Path) -> None:
    check_error(write_cvat_file(tmp_path / "a.xml", shape), "a.xml", "image 'p1.jpg'", "CVAT again", *words)


def test_malformed_xml_is_refused(tmp_path: Path) -> None:
    export = tmp_path / "annotations.xml"
    export.write_text(XML.format("<image>"))
    check_error(export, "annotations.xml", "not readable as XML", "export it again")
    export.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + XML.format(IMAGE.format("&b;"))[21:])
    check_error(export, "document type")
    export.write_text(XML.format('<track id="0" label="a"></track>'))
    check_error(export, "video", "CVAT for images 1.1")
    export.write_text(XML.format(IMAGE.format("") * 2))
    check_error(export, "same name")
    export.write_text(XML.format('<image name="p1.jpg" width="0" height="9"/>'))
    check_error(export, "its size")
