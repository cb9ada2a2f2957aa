"""The report: one page that holds everything, and says when the news is not good."""

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
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.evaluation.evaluate import evaluate
from pipeline.reporting.galleries import best_and_worst, image_score
from pipeline.reporting.report import _duration, write_report
from pipeline.viz.training_curve import training_curve
from tests.helpers.synthetic import CATEGORIES, perfect_results, write_split, write_tiny_model

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
    write_tiny_model(run / "model.safetensors", start=start)
    lines = [json.dumps(epoch(n, 0.3 * n, n < 3)) for n in (1, 2, 3)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    evaluate(
        run / "model.safetensors",
        run / "test" / "annotations.json",
        run / "test" / "images",
        run / "evaluation",
        10,
    )
    return run


class Page(html.parser.HTMLParser):
    """Collects the tags of a page, and checks that they are closed in order."""

    VOID = ("meta", "img", "br", "link", "line", "circle", "polyline")

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


def test_the_page_holds_everything(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(PROFILE, run_dir)
    printed = capsys.readouterr().out
    assert printed == f"report: {run_dir / 'report.html'}\n"  # evaluate has printed the table
    text = (run_dir / "report.html").read_text()
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not {"link", "iframe"} & names
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) >= 3
    for attributes in images:
        assert (attributes["src"] or "").startswith("data:image/jpeg;base64,") and attributes["alt"]
    assert not re.search(r"(src|href)=\"?(http|//)|@import|url\(", text), "nothing is fetched from elsewhere"
    assert text.count("<polyline") == 6 and "viewport" in text and "prefers-color-scheme" in text
    for wanted in (
        "tiny &amp; small",
        "EfficientNet &lt;b&gt;",
        "no network: put &lt;maskrcnn&gt; &amp; co.",
    ):
        assert wanted in text
    assert "not from COCO's" in text and "upper bound, not the result" in text
    assert "transpalette evaluate build/tiny &amp; small/model.safetensors" in text
    for wanted in ("torchvision", "pycocotools", "anny", "timm", "4.5.0", "1 min 15 s", "5 (profile)"):
        assert wanted in text, wanted
    assert str(run_dir.parent) not in text


def test_the_numbers_beside_it(run_dir: Path) -> None:
    write_report(PROFILE, run_dir)
    facts = json.loads((run_dir / "report.json").read_bytes())
    assert facts["metrics"] == json.loads((run_dir / "evaluation" / "metrics.json").read_bytes())
    assert facts["model"]["start"]["fallback"] == FALLBACK
    assert facts["splits"]["test"]["images"] == 4 and facts["splits"]["test"]["empty"] == 1
    assert facts["splits"]["val"]["objects"] == {"pedestrian": 4, "pallet_truck": 2}
    assert len(facts["epochs"]) == 3 and facts["seed"] == 5 and "torch" in facts["versions"]


def test_up_to_date_and_the_same_bytes(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        ("model.safetensors", "make train"),
        ("evaluation/metrics.json", "make evaluate"),
        ("val/annotations.json", "make coco"),
        ("train/manifest.json", "make render"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, name: str, command: str) -> None:
    order = ["model.safetensors", "metrics.jsonl", "evaluation/metrics.json", "evaluation/predictions.json"]
    order += [f"{s}/{f}" for f in ("manifest.json", "annotations.json") for s in ("train", "val", "test")]
    for other in order:
        if other != name:
            (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other).write_text("{}")
    with pytest.raises(UserError, match=rf"{name}: missing; make it first \({command}\)"):
        write_report(PROFILE, tmp_path)


def test_an_evaluation_of_an_earlier_version_is_named(run_dir: Path) -> None:
    (run_dir / "evaluation" / "metrics.json").write_text('{"images": 4}')
    with pytest.raises(UserError, match=r"earlier version; make it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)


def test_an_evaluation_of_something_else_is_named(run_dir: Path) -> None:
    """Of the model before, or of more pictures than the test split's, which the page could not show."""
    test, val = (run_dir / s / "annotations.json" for s in ("test", "val"))
    sets = tuple(ExtraSet(str(file), str(file.parent / "images")) for file in (test, val))
    images, out = test.parent / "images", run_dir / "evaluation"
    evaluate(run_dir / "model.safetensors", test, images, out, 0, sets)
    with pytest.raises(UserError, match=r"more or other pictures .*; make it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)
    evaluate(run_dir / "model.safetensors", test, images, out, 0)
    write_report(PROFILE, run_dir)
    write_tiny_model(
        run_dir / "model.safetensors", start={"kind": "none", "source": "nothing", "fallback": ""}
    )
    with pytest.raises(UserError, match="measures another model"):
        write_report(PROFILE, run_dir)


def with_baseline(run_dir: Path, kind: str, fallback: str) -> dict[str, Any]:
    """Put a comparison into the evaluation: sure of people, undecided about trucks."""
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
        "knows": ["pedestrian"],
        "classes": {"pedestrian": table("yes"), "pallet_truck": table("undecided")},
        "overall": table("no"),
    }
    path.write_text(json.dumps(metrics))
    return metrics


@pytest.mark.parametrize(
    ("kind", "fallback", "wanted", "unwanted"),
    [
        ("coco", "", ["better at these classes than the general one", "not a class of COCO"], "can't be had"),
        (
            "start",
            "no network &",
            ["can't be had here", "no network &amp;", "before training"],
            "general one",
        ),
        ("start", "", ["The same network before training"], "can't be had here"),
    ],
)
def test_was_it_worth_it(run_dir: Path, kind: str, fallback: str, wanted: list[str], unwanted: str) -> None:
    write_report(PROFILE, run_dir)
    assert "evaluate --baseline coco" in (run_dir / "report.html").read_text()
    with_baseline(run_dir, kind, fallback)
    write_report(PROFILE, run_dir)
    text = (run_dir / "report.html").read_text()
    section = text[text.index("Was it worth it?") : text.index("What was rendered")]
    for word in [
        "Yes</b>",
        "Undecided</b>",
        "1 min 15 s",
        "4 rendered images",
        "weights.pth &lt;1&gt;",
        *wanted,
    ]:
        assert word in section, word
    assert unwanted not in section and "+0.10 to +0.40" in section


def test_the_model_card_says_the_same(run_dir: Path) -> None:
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

# A window can't be as narrow as a phone; a frame in it can.
FRAME = """<!doctype html><title></title>
<script>addEventListener("message", (event) => { document.title = event.data; });</script>
<iframe src="probe.html" style="border: 0; width: %dpx; height: 800px"></iframe>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_complaint(run_dir: Path, tmp_path: Path, width: int) -> None:
    """Every picture loads, nothing is wider than a phone, a table sorts, the console stays empty."""
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
    found = json.loads(html.unescape(title[1]))
    assert found["errors"] == [] and "CONSOLE" not in done.stderr
    assert found["broken"] == found["silent"] == 0 and found["images"] >= 5
    assert found["width"] == width and found["beyond"] <= 0
    assert sorted(found["up"]) == sorted(found["down"]) and found["up"] == found["down"][::-1]


def test_best_and_worst(tmp_path: Path) -> None:
    write_split(tmp_path / "test", frames=5)
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    results = perfect_results(dataset)
    wrong = [r | {"image_id": 1} for r in results if r["image_id"] == 2]  # image 1 is empty
    results = [r for r in results if r["image_id"] != 2] + wrong
    low = [r | {"image_id": 3, "score": 0.1} for r in wrong]
    best, worst = best_and_worst(dataset, results + low, 0.5, 2, tmp_path / "test" / "images")
    assert {p.file_name for p in best} <= {"000002.png", "000003.png", "000004.png"}
    assert [(p.quality, p.false, p.missed) for p in best] == [(1.0, 0, 0)] * 2
    assert {(p.file_name, p.quality, p.false, p.missed) for p in worst} == {
        ("000000.png", 0.0, 3, 0),
        ("000001.png", 0.0, 0, 3),
    }
    single = best_and_worst(dataset, [], 0.5, 10, tmp_path / "test" / "images")
    assert [len(part) for part in single] == [2, 2]


def test_ignore_regions_neither_help_nor_hurt(tmp_path: Path) -> None:
    write_split(tmp_path / "test", frames=1)
    dataset = read_coco(convert_split(tmp_path / "test", CocoConfig()))
    truths, results = dataset["annotations"], perfect_results(dataset)
    ignoring = [truths[0] | {"iscrowd": 1}, *truths[1:]]
    score = image_score(ignoring, results)
    assert score is not None and (score.quality, score.found, score.missed, score.false) == (1.0, 2, 0, 0)
    assert image_score([], []) is None
    assert image_score(truths[:1], [results[0] | {"category_id": 9}]).false == 1  # type: ignore[union-attr]


def test_the_curve() -> None:
    assert training_curve([], ["pedestrian"]) is None
    one = training_curve([epoch(1, None, True)], list(CATEGORIES))
    assert one is not None and len(one.lines) == 3 and one.lines[1].points == "" and one.best is not None
    many = training_curve([epoch(n, 0.5, n == 7) for n in range(1, 101)], list(CATEGORIES))
    assert many is not None and len(many.ticks) <= 12
    xs = [x for x, _, _ in many.lines[0].dots]
    assert xs == sorted(xs) and all(many.left <= x <= many.right for x in xs)
    assert all(many.top <= y <= many.bottom for line in many.lines for _, y, _ in line.dots)


def test_durations_are_for_people() -> None:
    assert [_duration(s) for s in (4.4, 75, 3600, 12060)] == ["4 s", "1 min 15 s", "1 h 00 min", "3 h 21 min"]
