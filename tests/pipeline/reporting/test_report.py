"""The report: one self-contained page with every figure, and clear warnings."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blender.contract import UserError
from pipeline.config import CocoConfig, ExtraSet, Profile
from pipeline.data.convert import convert_split
from pipeline.evaluation.evaluate import evaluate
from pipeline.reporting.report import MODEL_FILE, format_duration, write_report
from tests.helpers.synthetic import CATEGORIES, write_split, write_tiny_model

FALLBACK = "no network: put <maskrcnn> & co. there"
PROFILE = Profile(name="tiny & small", seed=5, classes=CATEGORIES, splits={"train": 4, "val": 3, "test": 4})


def epoch(number: int, ap: float | None, best: bool) -> dict[str, Any]:
    table = {
        "bbox": dict.fromkeys(("AP", "AP50", "AP75"), ap),
        "segm": dict.fromkeys(("AP", "AP50", "AP75"), ap),
    }
    return {
        "epoch": number,
        "losses": {"loss": 3.0 / number},
        "val": {"classes": dict.fromkeys(CATEGORIES, table), "overall": table},
        "best": best,
        "seconds": 30.0 * number,
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    run = tmp_path / "tiny"
    for seed, (name, frames) in enumerate(PROFILE.splits.items()):
        write_split(run / name, frames=frames, seed=seed)
        convert_split(run / name, CocoConfig())
    start = {"kind": "embedded", "source": "EfficientNet <b>", "fallback": FALLBACK}
    write_tiny_model(run / MODEL_FILE, start=start)
    lines = [json.dumps(epoch(n, 0.3 * n, n < 3)) for n in (1, 2, 3)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    evaluate(run / MODEL_FILE, sets_of(run, "test"), run / "evaluation", 10)
    return run


def sets_of(run: Path, *splits: str) -> tuple[ExtraSet, ...]:
    return tuple(ExtraSet(str(run / s / "annotations.json"), str(run / s / "images")) for s in splits)


class Page(html.parser.HTMLParser):
    """Collects the tags of a page and checks that they are closed in order."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, self.getpos()


def test_the_page_is_self_contained_and_has_all_parts(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(PROFILE, run_dir)
    printed = capsys.readouterr().out
    assert printed == f"report: {run_dir / 'report.html'}\n"
    text = (run_dir / "report.html").read_text()
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not {"link", "iframe"} & names
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    kinds = [(attributes["src"] or "").partition(";base64,")[0] for attributes in images]
    assert kinds.count("data:image/svg+xml") == 3, "training, precision-recall and reliability plots"
    assert kinds.count("data:image/jpeg") == len(kinds) - 3 > 1
    assert all(attributes["alt"] for attributes in images)
    assert not re.search(r"(src|href)=\"?(http|//)|@import|url\(", text), "no file or server is needed"
    assert "viewport" in text and "prefers-color-scheme" in text
    for wanted in (
        "tiny &amp; small",
        "EfficientNet &lt;b&gt;",
        "no network: put &lt;maskrcnn&gt; &amp; co.",
    ):
        assert wanted in text
    assert "not from COCO's" in text and "These figures are of held-out renders: an upper bound." in text
    assert f"transpalette evaluate build/tiny &amp; small/{MODEL_FILE}" in text
    for wanted in ("torchvision", "pycocotools", "anny", "timm", "4.5.0", "1 min 15 s", "5 (profile)"):
        assert wanted in text, wanted
    assert str(run_dir.parent) not in text


def test_report_json_has_the_figures_of_the_run(run_dir: Path) -> None:
    write_report(PROFILE, run_dir)
    facts = json.loads((run_dir / "report.json").read_bytes())
    assert facts["metrics"] == json.loads((run_dir / "evaluation" / "metrics.json").read_bytes())
    assert facts["model"]["start"]["fallback"] == FALLBACK
    assert facts["splits"]["test"]["images"] == 4 and facts["splits"]["test"]["empty"] == 1
    assert facts["splits"]["val"]["objects"] == {"pedestrian": 4, "pallet_truck": 2}
    assert len(facts["epochs"]) == 3 and facts["seed"] == 5 and "torch" in facts["versions"]


def test_a_report_is_rewritten_only_if_its_inputs_change(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(PROFILE, run_dir)
    before = (run_dir / "report.html").read_bytes()
    capsys.readouterr()
    write_report(PROFILE, run_dir)
    printed = capsys.readouterr().out
    assert printed == f"report: up to date: {run_dir / 'report.html'}\n"
    (run_dir / "report.html").unlink()
    write_report(PROFILE, run_dir)
    assert (run_dir / "report.html").read_bytes() == before
    (run_dir / "metrics.jsonl").write_text(json.dumps(epoch(1, None, False)) + "\n")
    write_report(PROFILE, run_dir)
    assert (run_dir / "report.html").read_bytes() != before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (MODEL_FILE, "make train"),
        ("evaluation/metrics.json", "make evaluate"),
        ("val/annotations.json", "make coco"),
        ("train/manifest.json", "make render"),
    ],
)
def test_a_missing_input_is_named_with_the_command_that_makes_it(
    tmp_path: Path, name: str, command: str
) -> None:
    order = [MODEL_FILE, "metrics.jsonl", "evaluation/metrics.json", "evaluation/predictions.json"]
    order += [f"{s}/{f}" for f in ("manifest.json", "annotations.json") for s in ("train", "val", "test")]
    for other in order:
        if other != name:
            (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other).write_text("{}")
    with pytest.raises(UserError, match=rf"{name}: missing; make it first \({command}\)"):
        write_report(PROFILE, tmp_path)


def test_an_evaluation_of_another_version_is_refused(run_dir: Path) -> None:
    (run_dir / "evaluation" / "metrics.json").write_text('{"images": 4}')
    with pytest.raises(UserError, match=r"another version of Transpalette; make it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)


def test_an_evaluation_of_another_model_or_of_other_images_is_refused(run_dir: Path) -> None:
    out = run_dir / "evaluation"
    evaluate(run_dir / MODEL_FILE, sets_of(run_dir, "test", "val"), out, 0)
    with pytest.raises(UserError, match=r"more or other images .*; make it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)
    evaluate(run_dir / MODEL_FILE, sets_of(run_dir, "test"), out, 0)
    write_report(PROFILE, run_dir)
    write_tiny_model(run_dir / MODEL_FILE, start={"kind": "none", "source": "nothing", "fallback": ""})
    with pytest.raises(UserError, match="measures another model"):
        write_report(PROFILE, run_dir)


def with_baseline(run_dir: Path, kind: str, fallback: str) -> dict[str, Any]:
    """Add a comparison to the evaluation: better for pedestrians, undecided for trucks."""
    path = run_dir / "evaluation" / "metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_bytes())

    def table(verdict: str) -> dict[str, Any]:
        values = dict.fromkeys(("AP", "AP50"), 0.25)
        sides = values | {"gain": values, "gain_interval": {"AP": [0.1, 0.4], "AP50": None}}
        return {"verdict": verdict, "bbox": sides, "segm": sides}

    metrics["baseline"] = {
        "kind": kind,
        "source": "weights.pth <1>",
        "fallback": fallback,
        "known_classes": ["pedestrian"],
        "classes": {"pedestrian": table("yes"), "pallet_truck": table("undecided")},
        "overall": table("no"),
    }
    path.write_text(json.dumps(metrics))
    return metrics


@pytest.mark.parametrize(
    ("kind", "fallback", "expected", "unexpected"),
    [
        ("coco", "", ["The baseline is the general COCO model", "not a class of COCO"], "not available"),
        (
            "start",
            "no network &",
            ["are not available here", "no network &amp;", "the same network before training"],
            "torchvision's Mask R-CNN",
        ),
        ("start", "", ["The baseline is the same network before training"], "not available"),
    ],
)
def test_the_page_compares_the_model_with_its_baseline(
    run_dir: Path, kind: str, fallback: str, expected: list[str], unexpected: str
) -> None:
    write_report(PROFILE, run_dir)
    assert "evaluate --baseline coco" in (run_dir / "report.html").read_text()
    with_baseline(run_dir, kind, fallback)
    write_report(PROFILE, run_dir)
    text = (run_dir / "report.html").read_text()
    section = text[text.index("<h2>Comparison with a baseline") : text.index("<h2>Dataset")]
    for words in [
        "Yes</b>",
        "Undecided</b>",
        "1 min 15 s",
        "4 rendered images",
        "weights.pth &lt;1&gt;",
        *expected,
    ]:
        assert words in section, words
    assert unexpected not in section and "+0.10 to +0.40" in section


def test_the_model_card_has_the_same_figures(run_dir: Path) -> None:
    metrics = with_baseline(run_dir, "coco", "")
    write_report(PROFILE, run_dir)
    card = (run_dir / "model_card.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n") and "{{" not in card and "{%" not in card
    for name in CATEGORIES:
        assert f"{metrics['classes'][name]['segm']['AP50']:.3f}" in card
    for word in (
        "| 1 min 15 s",
        "0.300, the best F1",
        "upper bound",
        "not a safety device",
        "EfficientNet <b>",
    ):
        assert word in card.replace("| training | ", "| "), word
    assert "pedestrian: **yes**" in card and "pallet truck: **undecided**" in card
    assert FALLBACK not in card and str(run_dir.parent) not in card


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message || event.target.tagName), true);
addEventListener("load", () => {
  const images = [...document.images];
  for (const details of document.querySelectorAll("details")) details.open = true;
  const head = document.querySelector("table.sortable th:last-child button");
  const table = head.closest("table");
  const column = [...head.closest("tr").cells].indexOf(head.closest("th"));
  const values = () => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent.trim());
  head.click();
  const up = values();
  head.click();
  parent.postMessage(JSON.stringify({
    errors, up, down: values(),
    broken: images.filter((image) => !image.complete || !image.naturalWidth).length,
    silent: images.filter((image) => !image.alt).length,
    images: images.length,
    width: innerWidth,
    beyond: document.documentElement.scrollWidth - innerWidth,
  }), "*");
});
</script>"""

# The browser's window cannot be as narrow as a phone, but a frame in it can.
FRAME = """<!doctype html><title></title>
<script>addEventListener("message", (event) => { document.title = event.data; });</script>
<iframe src="probe.html" style="border: 0; width: %dpx; height: 800px"></iframe>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_without_errors_or_overflow(
    run_dir: Path, tmp_path: Path, width: int
) -> None:
    """All images load, the page fits a phone, tables can be sorted, and the console stays empty."""
    with_baseline(run_dir, "start", "no network")
    write_report(PROFILE, run_dir)
    page = tmp_path / "frame.html"
    page.write_text(FRAME % width)
    text = (run_dir / "report.html").read_text().replace("<head>", f"<head>{PROBE}", 1)
    (tmp_path / "probe.html").write_text(text)
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'u'}",
        "--window-size=1400,900", "--virtual-time-budget=20000", "--enable-logging=stderr",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stdout[:500]
    page_state = json.loads(html.unescape(title[1]))
    assert page_state["errors"] == [] and "CONSOLE" not in done.stderr
    assert page_state["broken"] == page_state["silent"] == 0 and page_state["images"] >= 5
    assert page_state["width"] == width and page_state["beyond"] <= 0
    assert (
        sorted(page_state["up"]) == sorted(page_state["down"])
        and page_state["up"] == page_state["down"][::-1]
    )


def test_durations_are_formatted_for_readers() -> None:
    assert [format_duration(s) for s in (4.4, 75, 3600, 12060)] == [
        "4 s",
        "1 min 15 s",
        "1 h 00 min",
        "3 h 21 min",
    ]
