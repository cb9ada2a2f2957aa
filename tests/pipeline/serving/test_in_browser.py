"""The page in headless Chromium: upload, threshold, downloads, camera, kept pictures, and no other host."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from blender.contract.shipped import warehouse_path
from pipeline.data.validation.check import load_validated_coco
from pipeline.inference.predict import predict_images
from pipeline.inference.segmenter import MAIN_CLASSES
from pipeline.inference.video import open_video
from pipeline.serving.uploads import MAX_BYTES
from tests.conftest import ROOT
from tests.helpers.browser import CHROMIUM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
DEMO = ROOT / "assets" / "demo"
SECONDS = 120
"""Time limit for a step of the page."""
MAX_GROWTH = 150
"""Largest growth of the server's memory in MB over twelve more predictions."""
GUARD = """
import socket, sys
log = open(sys.argv.pop(1), "w", buffering=1)
def check(event, args):
    address = args[1] if event == "socket.connect" else args[0]
    host = address[0] if isinstance(address, tuple) else address
    if event in ("socket.connect", "socket.getaddrinfo") and host not in (
        "127.0.0.1", "::1", "localhost", None, b"127.0.0.1", b"localhost"
    ):
        log.write(f"{event} {host}\\n")
sys.addaudithook(lambda event, args: event.startswith("socket.") and len(args) > 0 and check(event, args))
from pipeline.cli import main
main()
"""
"""Program that starts the command, and logs each attempt to reach another machine."""


@dataclass
class Server:
    """A running page."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    """Has kept/, temporary/ and requests.txt, the log of the guard."""

    def memory(self) -> float:
        """Return the resident memory of the process in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the shipped detector; it must end in order on Ctrl-C, and leave no temporary file."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "temporary").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable, "-c", GUARD, folder / "requests.txt", "serve", "--port", str(port),
            "--keep", folder / "kept", "--frames", "4",
        ],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    line = process.stdout.readline().decode()
    assert line == f"serve: http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    yield Server(process, f"http://127.0.0.1:{port}/", folder)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS) == 0
    assert list((folder / "temporary").iterdir()) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: install the extra browser")
    with playwright.sync_playwright() as runner:
        yield runner.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )


@dataclass
class Visit:
    """A page in the browser, and what it requested and logged."""

    page: Any
    hosts: set[str]
    problems: list[str]

    def note(self, message: Any) -> None:
        """Note an error of the console, also what the content security policy refuses."""
        if message.type == "error":
            self.problems.append(message.text)

    def wait_for(self, text: str) -> str:
        """Wait until the status line contains ``text``, and return the line."""
        self.page.wait_for_function(
            "text => document.querySelector('#status').innerText.includes(text)", arg=text
        )
        return str(self.page.locator("#status").inner_text()).strip()

    def upload(self, path: Path) -> None:
        clear = self.page.locator("#upload button[aria-label='Clear']")
        if clear.count():
            clear.click()
        self.page.set_input_files("#upload input[type=file]", str(path))

    def download(self, button: str, folder: Path) -> Path:
        with self.page.expect_download() as started:
            self.page.click(button)
        path = folder / started.value.suggested_filename
        started.value.save_as(path)
        return path


@pytest.fixture(params=[1280, 390])
def visit(request: pytest.FixtureRequest, server: Server, browser: Any) -> Iterator[Visit]:
    """The page at the width of a desktop and of a phone."""
    context = browser.new_context(viewport={"width": request.param, "height": 844}, permissions=["camera"])
    context.set_default_timeout(SECONDS * 1e3)
    page = context.new_page()
    visit = Visit(page, set(), [])
    page.on("request", lambda sent: visit.hosts.add(urlsplit(sent.url).hostname or urlsplit(sent.url).scheme))
    page.on("console", visit.note)
    page.on("pageerror", lambda error: visit.problems.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("#upload input[type=file]", state="attached")
    page.wait_for_selector("#status p")
    yield visit
    context.close()
    assert visit.hosts <= {"127.0.0.1", "blob", "data"}
    assert visit.problems == []
    assert (server.folder / "requests.txt").read_text() == ""


def test_an_upload_gives_the_results_of_predict(visit: Visit, tmp_path: Path) -> None:
    visit.upload(DEMO / "aisle.jpg")
    visit.wait_for("in aisle.jpg")
    score = float(visit.page.locator("#threshold input[type=number]").input_value())
    results = json.loads(visit.download("#coco", tmp_path).read_bytes())
    photo = (DEMO / "aisle.jpg",)
    predict_images(warehouse_path(), photo, tmp_path / "out", score, classes=MAIN_CLASSES)
    expected = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    assert expected and len(results) == len(expected)
    for result, other in zip(results, expected, strict=True):
        assert result["category_name"] == other["category_name"]
        assert result["score"] == pytest.approx(other["score"], abs=1e-4)
        assert np.allclose(result["bbox"], other["bbox"], atol=0.05)
    assert visit.download("#csv", tmp_path).read_text().count("\n") == 1 + len(expected)
    shown = visit.page.locator("#picture img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    with Image.open(DEMO / "aisle.jpg") as image:
        assert tuple(shown) == image.size
    visit.page.locator("#objects").get_by_text(str(round(expected[-1]["score"], 3))).first.wait_for()


def test_the_page_fits_the_screen_and_says_that_it_is_no_safety_device(visit: Visit) -> None:
    visit.page.locator("#examples button").nth(2).click()
    visit.wait_for("in walkie.jpg")
    visit.page.wait_for_function("document.querySelector('#picture img')?.naturalWidth > 0")
    assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert "no safety device" in visit.page.locator("#notice").inner_text()
    images = visit.page.locator("#examples img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert len(images) == 3 and min(images) > 0


def test_the_threshold_and_the_classes_change_what_is_shown(visit: Visit) -> None:
    visit.page.locator("#examples button").first.click()
    before = visit.wait_for("in aisle.jpg")
    visit.page.locator("#threshold input[type=number]").fill("0.99")
    visit.page.locator("#threshold input[type=number]").blur()
    visit.wait_for("nothing in aisle.jpg")
    visit.page.locator("#threshold input[type=number]").fill("0.05")
    visit.page.locator("#threshold input[type=number]").blur()
    visit.wait_for("pedestrian in aisle.jpg")
    visit.page.locator("#classes label", has_text="pedestrian").click()
    visit.page.wait_for_function("!document.querySelector('#status')?.innerText.includes('pedestrian')")
    after = visit.wait_for("pallet truck in aisle.jpg")
    # The network did not run again: the line states the milliseconds of the one run.
    assert before.partition("(")[2] == after.partition("(")[2]


@pytest.mark.parametrize(
    ("name", "content"), [("notes.txt", b"a text"), ("<img src=x onerror=alert(1)>.jpg", b"no picture")]
)
def test_other_files_are_refused_in_one_line(visit: Visit, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    visit.upload(tmp_path / name)
    line = visit.wait_for("neither a picture nor a video that can be read")
    assert "\n" not in line and visit.page.locator("#status img").count() == 0
    assert visit.page.locator("#coco").is_disabled() and visit.page.locator("#keep").is_disabled()


def test_a_file_that_is_too_long_is_refused_in_one_line(visit: Visit, tmp_path: Path) -> None:
    with (tmp_path / "long.mp4").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    visit.upload(tmp_path / "long.mp4")
    visit.page.get_by_text('exceed the maximum allowed size of 200.0 Mb: "long.mp4"').first.wait_for()
    visit.problems.clear()  # Gradio asks for the progress of the upload that it has refused


def test_the_camera_s_picture_is_predicted(visit: Visit) -> None:
    visit.page.get_by_role("tab", name="Camera").click()
    visit.page.locator("#camera").get_by_text("Click to Access Webcam").click()
    visit.page.wait_for_function("document.querySelector('#camera video')?.videoWidth > 0")
    visit.page.locator("#camera button[aria-label='capture photo']").click()
    assert " ms)" in visit.wait_for("in image.")
    visit.page.wait_for_function("document.querySelector('#picture img')?.naturalWidth > 0")


def write_still_video(path: Path) -> Path:
    """Write 8 equal frames that show the picture of an aisle."""
    with Image.open(DEMO / "aisle.jpg") as image, open_video(path, (320, 240)) as append:
        for number in range(8):
            append(image.convert("RGB").resize((320, 240)), number / 10)
    return path


def test_a_video_is_predicted_and_drawn(visit: Visit, tmp_path: Path) -> None:
    visit.upload(write_still_video(tmp_path / "v.mp4"))
    assert "4 frames of the video, 4 were skipped" in visit.wait_for("in v.mp4")
    visit.page.wait_for_function("document.querySelector('#video video')?.videoWidth === 320")


def test_one_click_keeps_a_picture_for_correction(visit: Visit, server: Server) -> None:
    visit.page.locator("#examples button").first.click()
    visit.wait_for("in aisle.jpg")
    visit.page.click("#keep")
    visit.wait_for("kept as")
    dataset = load_validated_coco(server.folder / "kept" / "annotations.json")
    assert [i["file_name"] for i in dataset["images"]] == ["0001-aisle.jpg"] and dataset["annotations"]
    assert (server.folder / "kept" / "images" / "0001-aisle.jpg").read_bytes() == (
        DEMO / "aisle.jpg"
    ).read_bytes()


def test_one_click_keeps_the_frames_of_a_video_that_differ(
    visit: Visit, server: Server, tmp_path: Path
) -> None:
    visit.upload(write_still_video(tmp_path / "still.mp4"))
    visit.wait_for("in still.mp4")
    visit.page.click("#keep")
    visit.wait_for("kept 1 of 4 frames")
    names = [path.name for path in (server.folder / "kept" / "images").iterdir()]
    assert [name for name in names if "still-00000" in name and name.endswith(".png")]


def test_the_memory_stays_flat(visit: Visit, server: Server) -> None:
    buttons, names = visit.page.locator("#examples button"), ("aisle", "hall", "walkie")
    turns = itertools.cycle(range(3))

    def predict(times: int) -> float:
        for number in itertools.islice(turns, times):
            buttons.nth(number).click()
            visit.wait_for(f"in {names[number]}.jpg")
        time.sleep(1)
        return server.memory()

    before = predict(6)
    after = predict(12)
    assert after - before < MAX_GROWTH, f"{before:.0f} MB before, {after:.0f} MB after 12 more predictions"


def test_other_hosts_names_and_the_open_api_are_refused(server: Server) -> None:
    """Another site could point its own name to 127.0.0.1, and so read the page (DNS rebinding)."""
    request = urllib.request.Request(server.url, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    with urllib.request.urlopen(server.url + "gradio_api/info", timeout=10) as answer:
        assert json.load(answer)["named_endpoints"] == {}
