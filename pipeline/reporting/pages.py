"""Fill in the templates of HTML and Markdown pages, and write the page of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import jinja2

from blender.contract import UserError, write_atomic
from pipeline.common.durations import format_duration
from pipeline.evaluation.terminal import number
from pipeline.viz.overlays import PALETTE, SHAPES, readable

EVALUATION_PAGE = "evaluation.html"


def render_page(template: str, facts: dict[str, Any], **more: Any) -> str:
    """Fill in a template of this package; an undefined name is an error.

    Args:
        template: name of the template.
        facts: the values that it uses, among them ``metrics``, the content of metrics.json.
        more: further values.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"readable": readable, "duration": format_duration, "metric": number}
    shape = SHAPES[facts["metrics"]["iou_type"]]
    return environment.get_template(template).render(facts, palette=PALETTE, shape=shape, **more)


def write_evaluation_page(folder: Path) -> None:
    """Write evaluation.html: the figures of each set and its worst false alarms. An equal page is kept.

    Args:
        folder: the folder with metrics.json and false_alarms.json (``evaluate --out``).
    """
    facts = {"metrics": read_json(folder / "metrics.json")}
    facts["false_alarms"] = read_json(folder / "false_alarms.json")
    page, content = folder / EVALUATION_PAGE, render_page("evaluation.html.j2", facts).encode()
    if not (page.is_file() and page.read_bytes() == content):
        write_atomic(page, content)
        click.echo(f"evaluate: {page}")


def read_json(path: Path) -> Any:
    """Read a file that ``evaluate`` wrote, or raise a ``UserError``."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; make it again (make evaluate)") from None
