"""The report: one self-contained page with every figure, and clear warnings."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from blender.contract import UserError
from pipeline.evaluation.evaluate import evaluate
from pipeline.reporting.mistakes import find_mistakes
from pipeline.reporting.report import MODEL_FILE, write_report
from tests.helpers.synthetic import CATEGORIES, write_tiny_model
from tests.pipeline.reporting.conftest import FALLBACK, PROFILE, add_baseline, epoch, sets_of


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


def test_objects_of_auxiliary_classes_are_neither_counted_nor_missed(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def keep(evaluation: Any, *rest: Any) -> dict[str, list[Any]]:
        seen.append(find_mistakes(evaluation, *rest))
        return seen[-1]

    monkeypatch.setattr("pipeline.reporting.report.find_mistakes", keep)
    write_report(PROFILE, run_dir)
    before = json.loads((run_dir / "report.json").read_bytes())["splits"]
    for split in PROFILE.splits:
        path = run_dir / split / "annotations.json"
        table = json.loads(path.read_bytes())
        table["categories"].append({"id": 9, "name": "cage"})
        cages = [a | {"id": 1000 + a["id"], "category_id": 9} for a in table["annotations"]]
        table["annotations"] += cages
        path.write_text(json.dumps(table))
    evaluate(run_dir / MODEL_FILE, sets_of(run_dir, "test"), run_dir / "evaluation", 10)
    write_report(PROFILE, run_dir)
    assert json.loads((run_dir / "report.json").read_bytes())["splits"] == before
    kinds = [{kind: len(of_kind) for kind, of_kind in mistakes.items()} for mistakes in seen]
    assert kinds[0] == kinds[1] and sum(kinds[0].values()) > 0


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
    order = [MODEL_FILE, "metrics.jsonl"]
    order += [f"evaluation/{name}.json" for name in ("metrics", "predictions", "false_alarms")]
    order += [f"{s}/{f}" for f in ("manifest.json", "annotations.json") for s in ("train", "val", "test")]
    for other in order:
        if other != name:
            (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other).write_text("{}")
    with pytest.raises(UserError, match=rf"{name}: missing; make it first \({command}\)"):
        write_report(PROFILE, tmp_path)


def test_an_evaluation_of_another_version_is_refused(run_dir: Path) -> None:
    (run_dir / "evaluation" / "metrics.json").write_text('{"images": 4}')
    with pytest.raises(UserError, match=r"another version; run it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)


def test_an_evaluation_of_another_model_or_of_other_images_is_refused(run_dir: Path) -> None:
    out = run_dir / "evaluation"
    evaluate(run_dir / MODEL_FILE, sets_of(run_dir, "test", "val"), out, 0)
    with pytest.raises(UserError, match=r"other images .*; run it again \(make evaluate\)"):
        write_report(PROFILE, run_dir)
    evaluate(run_dir / MODEL_FILE, sets_of(run_dir, "test"), out, 0)
    write_report(PROFILE, run_dir)
    write_tiny_model(run_dir / MODEL_FILE, start={"kind": "none", "source": "nothing", "fallback": ""})
    with pytest.raises(UserError, match="for another model"):
        write_report(PROFILE, run_dir)


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
    add_baseline(run_dir, kind, fallback)
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
    metrics = add_baseline(run_dir, "coco", "")
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
    data: Any = ModelCard(card).data  # as Hugging Face reads it
    assert data.license == "apache-2.0" and data.model_name == "Transpalette: tiny & small"
    figures = {result.metric_name: result.metric_value for result in data.eval_results}
    assert len(figures) == 8
    expected = metrics["classes"]["pallet_truck"]["segm"]["AP50"]
    assert figures["mask AP50, pallet truck"] == pytest.approx(expected, abs=1e-4)


class ReportChecker(html.parser.HTMLParser):
    """Collects problems that screen readers, printers and validators stumble on."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.scales = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.scales += tag == "svg"
        if tag in ("div", "p", "table") and "span" in self.open:
            self.problems.append(f"<{tag}> in <span>")
        if "style" in attributes:
            self.problems.append(f"<{tag} style>")
        if tag == "th" and not attributes.get("scope"):
            self.problems.append("<th> without scope")
        if tag == "pre" and "tabindex" not in attributes:
            self.problems.append("<pre> that the keyboard cannot scroll")
        if tag not in ("meta", "img", "br", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_report_is_structured_for_printers_and_screen_readers(run_dir: Path) -> None:
    write_report(PROFILE, run_dir)
    text = (run_dir / "report.html").read_text()
    checker = ReportChecker()
    checker.feed(text)
    assert checker.problems == [] and checker.open == []
    assert checker.scales > 0, "intervals are drawn as SVG, which browsers print, and not as backgrounds"
    assert not re.search(r"<th[^>]*>\s*</th>", text)
