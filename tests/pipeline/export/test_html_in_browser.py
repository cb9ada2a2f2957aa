"""The page in headless Chromium without a network: the detections of ``predict``, on a desktop and a phone.

Tests with the real onnxruntime-web need its archive: TRANSPALETTE_ORT_WEB=onnxruntime-web-1.30.0.tgz.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender.contract.shipped import warehouse_path
from pipeline import load_model
from pipeline.export.html.page import FOLDER, MAX_PIXELS, build_page
from pipeline.export.html.runtime import COMMAND, read_runtime
from pipeline.export.quantize import quantize_file
from pipeline.inference.detections import Detections, to_named_results
from pipeline.inference.exported import parse_onnx
from pipeline.inference.mask_pasting import EXTENT_THRESHOLD, paste_masks
from pipeline.inference.pairing import mask_iou, pair_boxes
from tests.conftest import ROOT
from tests.helpers.browser import CHROMIUM
from tests.pipeline.export.conftest import run_export, unpack_page

RUNTIME = os.environ.get("TRANSPALETTE_ORT_WEB")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
needs_runtime = pytest.mark.skipif(
    not RUNTIME, reason=f"TRANSPALETTE_ORT_WEB does not name the archive of onnxruntime-web: {COMMAND}"
)
NODE_MODULES = ROOT / "node_modules"
ORIENTATION = 0x0112
SECONDS = 120
"""Time limit for a step of the page."""
MAX_BOX_DIFFERENCE, MIN_MASK_IOU = 0.5, 0.98


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: install the extra browser")
    with playwright.sync_playwright() as runner:
        yield runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped detector as model.onnx and page.html, and its 8-bit page, int8.html."""
    path = tmp_path_factory.mktemp("html")
    done = run_export(warehouse_path(), path / "page.html", "--format", "html", "--runtime", RUNTIME)
    assert done.exit_code == 0, done.output
    data = unpack_page((path / "page.html").read_text())["model"]
    (path / "model.onnx").write_bytes(data)
    int8 = quantize_file(data, parse_onnx(data, "model.onnx").metadata)
    (path / "int8.onnx").write_bytes(int8)
    page = build_page(int8, parse_onnx(int8, "int8.onnx").metadata, read_runtime(Path(str(RUNTIME))))
    (path / "int8.html").write_bytes(page)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The rendered pictures of the demo as PNG: browsers decode JPEG slightly differently."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("aisle", "hall", "walkie"):
        with Image.open(ROOT / "assets" / "demo" / f"{name}.jpg") as image:
            image.convert("RGB").save(folder / f"{name}.png")
    return sorted(folder.iterdir())


@dataclasses.dataclass
class Visit:
    """A page in the browser, and what it requested and logged."""

    page: Any
    schemes: set[str]
    problems: list[str]

    def wait_for(self, pattern: str) -> str:
        """Wait until the status line matches, and return it. (The page forbids Playwright's functions.)"""
        line = self.page.locator("#status", has_text=re.compile(pattern))
        line.wait_for()
        return str(line.inner_text())

    def detect(self, path: Path) -> list[dict[str, Any]]:
        """Choose a picture, and return the COCO results that the page offers."""
        self.page.set_input_files("#file", str(path))
        self.wait_for(rf"in {path.name} \(\d+ ms\)")
        with self.page.expect_download() as started:
            self.page.click("#download")
        assert started.value.suggested_filename == "predictions.json"
        return list(json.loads(Path(started.value.path()).read_bytes()))


def open_page(browser: Any, path: Path, width: int) -> Iterator[Visit]:
    """Open a page without a network; it must request nothing outside itself, and log no error."""
    context = browser.new_context(viewport={"width": width, "height": 844})
    context.set_default_timeout(SECONDS * 1e3)
    context.set_offline(True)
    page = context.new_page()
    visit = Visit(page, set(), [])
    page.on("request", lambda request: visit.schemes.add(request.url.partition(":")[0]))
    page.on("console", lambda message: visit.problems.append(message.text))
    page.on("pageerror", lambda error: visit.problems.append(str(error)))
    page.goto(path.as_uri())
    visit.wait_for("Choose or drop a picture")
    yield visit
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    context.close()
    assert visit.schemes <= {"file", "data", "blob"}
    assert visit.problems == []


@pytest.fixture(params=[1280, 390])
def visit(request: pytest.FixtureRequest, browser: Any, exported: Path) -> Iterator[Visit]:
    """The page at the width of a desktop and of a phone."""
    yield from open_page(browser, exported / "page.html", request.param)


def compare(results: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare the page's results with those of ``predict``: the same objects."""
    assert len(results) == len(expected) > 0

    def boxes(table: list[dict[str, Any]]) -> tuple[Any, Any]:
        left, top, width, height = np.array([result["bbox"] for result in table], np.float32).T
        labels = np.array([result["category_id"] for result in table])
        return np.stack([left, top, left + width, top + height], 1), labels

    pairs = pair_boxes(boxes(results), boxes(expected), MAX_BOX_DIFFERENCE)
    assert len(pairs) == len(expected)
    for number, partner in pairs:
        first, second = results[number], expected[partner]
        assert first["score"] == pytest.approx(second["score"], abs=2e-3)
        assert mask_iou(first["segmentation"], second["segmentation"]) >= MIN_MASK_IOU
        assert first.keys() == second.keys()
        assert first["category_name"] == second["category_name"]


def predict(model: Path, picture: Path) -> list[dict[str, Any]]:
    """Predict with the model's threshold; return what ``predict`` writes."""
    segmenter = load_model(model)
    return to_named_results(segmenter.predict(picture), 1, segmenter.classes, file_name=picture.name)


@needs_runtime
def test_the_page_detects_what_predict_detects(
    visit: Visit, exported: Path, pictures: list[Path], tmp_path: Path
) -> None:
    for picture in pictures:
        results = visit.detect(picture)
        compare(results, predict(exported / "model.onnx", picture))
        assert visit.page.locator("#objects tbody tr").count() == len(results)
    with Image.open(pictures[0]) as image:  # stored on its side, and upright by its EXIF orientation
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        image.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    compare(visit.detect(tmp_path / "turned.png"), predict(exported / "model.onnx", tmp_path / "turned.png"))


@needs_runtime
def test_the_threshold_and_the_classes_select_the_objects(visit: Visit, pictures: list[Path]) -> None:
    page = visit.page
    before = visit.detect(pictures[0])
    page.locator("#threshold").press("End")
    line = visit.wait_for("^nothing in")
    assert page.locator("#objects tbody tr").count() == 0 and page.inner_text("#threshold-value") == "0.99"
    page.locator("#threshold").press("Home")
    after = visit.wait_for("pedestrian")
    assert line.partition("(")[2] == after.partition("(")[2], "the network ran again"
    assert page.locator("#objects tbody tr").count() > len(before)
    page.locator("#classes label", has_text="pedestrian").click()
    assert "pedestrian" not in page.inner_text("#status")
    assert "no safety device" in page.inner_text("#notice")


@needs_runtime
def test_other_files_are_refused_in_one_line(visit: Visit, pictures: list[Path], tmp_path: Path) -> None:
    visit.detect(pictures[0])
    (tmp_path / "notes.txt").write_text("no picture")
    visit.page.set_input_files("#file", str(tmp_path / "notes.txt"))
    visit.wait_for("^notes.txt: not a picture that this browser can read$")
    assert not visit.page.locator("#objects").is_visible() and not visit.page.locator("#picture").is_visible()


@needs_runtime
def test_a_picture_can_be_dropped_and_a_large_one_is_reduced(
    visit: Visit, exported: Path, pictures: list[Path], tmp_path: Path
) -> None:
    with Image.open(pictures[0]) as image:
        factor = 8.75
        size = (round(image.width * factor), round(image.height * factor))
        image.resize(size).save(tmp_path / "large.png", compress_level=1)
    assert size[0] * size[1] > MAX_PIXELS
    small = predict(exported / "model.onnx", pictures[0])
    visit.page.set_input_files("#file", str(tmp_path / "large.png"))
    visit.wait_for(r"in large.png \(\d+ ms\)")
    rows = visit.page.locator("#objects tbody tr").all_inner_texts()
    pedestrian = next(row.split("\t") for row in rows if row.startswith("pedestrian"))
    expected = next(result["bbox"] for result in small if result["category_name"] == "pedestrian")
    edges = np.array(pedestrian[2:6], float) / factor
    assert np.abs(edges - expected).max() < 2
    visit.page.locator("#drop").dispatch_event("drop", {"dataTransfer": drop_of(visit.page, pictures[1])})
    visit.wait_for(rf"in {pictures[1].name} \(\d+ ms\)")


def drop_of(page: Any, path: Path) -> Any:
    """Build a DataTransfer with one file in the page."""
    return page.evaluate_handle(
        """([bytes, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name));
          return transfer;
        }""",
        [list(path.read_bytes()), path.name],
    )


@needs_runtime
@pytest.mark.skipif(not (NODE_MODULES / "axe-core").is_dir(), reason="no axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_violation(visit: Visit, pictures: list[Path], scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    visit.detect(pictures[0])
    visit.page.add_script_tag(content=(NODE_MODULES / "axe-core" / "axe.min.js").read_text())
    violations = visit.page.evaluate("axe.run()")["violations"]
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in violations] == []


@needs_runtime
def test_8_bit_weights_run_in_the_browser(browser: Any, exported: Path, pictures: list[Path]) -> None:
    """Products of 8-bit matrices are rounded otherwise on other processors, so boxes differ slightly more."""
    for visit in open_page(browser, exported / "int8.html", 1280):
        results = visit.detect(pictures[0])
        compare(results, predict(exported / "int8.onnx", pictures[0]))
    assert (exported / "int8.html").stat().st_size < 0.7 * (exported / "page.html").stat().st_size


def test_masks_are_pasted_as_in_python(browser: Any) -> None:
    """Random masks, boxes beyond the image and of no area; this needs no onnxruntime-web."""
    rng, side, size = np.random.default_rng(0), 28, (97, 61)
    corners = rng.uniform(-20, 90, (60, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(0, 60, (60, 2)).astype(np.float32)], 1)
    boxes[0, 2:] = boxes[0, :2]
    labels, scores = rng.integers(1, 4, 60), rng.uniform(0, 1, 60).astype(np.float32)
    grids = rng.uniform(0, 1, (60, 4, 4)).astype(np.float32) ** 2
    masks = np.kron(grids, np.ones((7, 7), np.float32))
    masks[1], masks[2] = 0, 1
    page = browser.new_page()
    page.add_script_tag(path=FOLDER / "mask_pasting.js")
    for margin in (0.0, 0.15):
        expected = paste_masks(boxes, labels, scores, masks, size, 0.4, margin)
        call = """([boxes, labels, scores, masks, side, size, settings]) => {
          const floats = (values) => new Float32Array(values);
          const outputs = { boxes: floats(boxes), labels, scores: floats(scores), masks: floats(masks) };
          return pasteMasks(outputs, side, size, settings).map((object) => ({
            ...object, counts: compressCounts(toCounts(object.runs, size[0] * size[1])),
          }));
        }"""
        settings = {"maskThreshold": 0.4, "maskMargin": margin, "extentThreshold": EXTENT_THRESHOLD}
        flat = [x.ravel().tolist() for x in (boxes, labels, scores, masks)]
        objects = page.evaluate(call, [*flat, side, list(size), settings])
        assert_same(objects, expected)


def assert_same(objects: list[dict[str, Any]], expected: Detections) -> None:
    """Compare objects of mask_pasting.js with ``Detections``; at equal scores of 0 their order is kept."""
    assert [entry["label"] for entry in objects] == expected.labels.tolist()
    assert np.allclose([entry["score"] for entry in objects], expected.scores, atol=1e-6)
    assert np.allclose([entry["box"] for entry in objects], expected.boxes, atol=1e-3)
    counts = [rle["counts"] for rle in expected.rles]
    texts = [text.decode() if isinstance(text, bytes) else text for text in counts]
    assert [entry["counts"] for entry in objects] == texts
