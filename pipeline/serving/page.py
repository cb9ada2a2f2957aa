"""The layout of the page, made with Gradio (the extra ``app``). What it does is in ``service``."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.common.optional import import_optional
from pipeline.serving.results import COLUMNS, describe
from pipeline.serving.service import LOWEST_SCORE, Analysis, Service
from pipeline.viz.overlays import readable

STYLE = Path(__file__).parent / "page.css"
NOTICE = (
    "**This is no safety device.** It misses people and pallet trucks, and it shows some where there are "
    "none. Never rely on it to protect anyone."
)
START = "Drop a picture or a video, or choose an example."
"""What the page says before anything is detected."""
SESSION_SECONDS = 3600
"""Time after which the detections of a page that is not used any more are deleted."""
MAX_QUEUE = 20
"""Number of events that wait while the model is busy."""
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif"]
_MONO_FONTS = ["ui-monospace", "Consolas", "monospace"]
"""Fonts of the visitor's machine: Gradio's default fonts may be requested from elsewhere."""


def build_page(service: Service, threshold: float, examples: Sequence[Path]) -> Any:
    """Build the page.

    Args:
        service: the model and the files of the page.
        threshold: the score threshold at the start.
        examples: pictures that the page offers.

    Returns:
        A ``gradio.Blocks``.

    Raises:
        UserError: Gradio is not installed.
    """
    gr = import_optional("gradio", "app", "serve")
    handlers, names = _Handlers(gr, service), service.segmenter.classes

    # Gradio finds progress bars by the defaults of a function.
    def detect(path: Any, score: Any, classes: Any, progress: Any = gr.Progress()) -> Any:  # noqa: B008
        return handlers.detect(path, score, classes, progress)

    def detect_example(index: Any, score: Any, classes: Any, progress: Any = gr.Progress()) -> Any:  # noqa: B008
        return handlers.detect(str(examples[index]), score, classes, progress)

    with gr.Blocks(
        title="Transpalette", analytics_enabled=False, delete_cache=(600, SESSION_SECONDS)
    ) as page:
        analysis = gr.State(None, time_to_live=SESSION_SECONDS)
        gr.Markdown("# Transpalette")
        gr.Markdown(NOTICE, elem_id="notice")
        with gr.Column(elem_id="body"):
            with gr.Column(elem_id="input"):
                with gr.Tab("Picture or video"):
                    upload = gr.File(label="Picture or video", show_label=False, height=130, elem_id="upload")
                with gr.Tab("Camera"):
                    camera = gr.Image(
                        sources=["webcam"], type="filepath", image_mode=None, show_label=False, height=260,
                        webcam_options=gr.WebcamOptions(
                            mirror=False, constraints={"video": {"facingMode": "environment"}}
                        ),
                        elem_id="camera",
                    )  # fmt: skip
                gallery = gr.Dataset(
                    components=[gr.Image(visible=False)], samples=[[str(path)] for path in examples],
                    type="index", show_label=False, layout="gallery", elem_id="examples",
                )  # fmt: skip
            with gr.Column(elem_id="result"):
                status = gr.HTML(_line(START), elem_id="status")
                picture = gr.Image(
                    show_label=False, type="filepath", interactive=False, buttons=["download", "fullscreen"],
                    elem_id="picture",
                )  # fmt: skip
                video = gr.Video(show_label=False, visible=False, interactive=False, elem_id="video")
            with gr.Column(elem_id="controls"):
                score = gr.Slider(
                    LOWEST_SCORE, 0.99, round(threshold, 2), step=0.01, label="Score threshold",
                    elem_id="threshold",
                )  # fmt: skip
                classes = gr.CheckboxGroup(
                    [(readable(name), name) for name in names], value=list(names), label="Classes",
                    elem_id="classes",
                )  # fmt: skip
            with gr.Column(elem_id="files"):
                table = gr.Dataframe(
                    headers=list(COLUMNS), show_label=False, interactive=False, elem_id="objects",
                    max_height=360, buttons=[],
                )  # fmt: skip
                with gr.Row():
                    coco = gr.DownloadButton("COCO JSON", interactive=False, elem_id="coco", min_width=90)
                    csv = gr.DownloadButton("CSV", interactive=False, elem_id="csv", min_width=90)
                    keep = gr.Button("Keep for correction", interactive=False, elem_id="keep", min_width=200)
        shown = [status, picture, video, table, coco, csv, keep]
        # One event at a time uses the model, so that the memory does not grow with the number of visitors.
        once: dict[str, Any] = {
            "concurrency_limit": 1,
            "concurrency_id": "model",
            "api_visibility": "private",
            "show_progress_on": [status],
        }
        choice = [score, classes]
        for source in (upload.upload, camera.input):
            source(detect, [source.__self__, *choice], [analysis, *shown], **once)
        last: dict[str, Any] = {"trigger_mode": "always_last", **once}
        gallery.click(detect_example, [gallery, *choice], [analysis, *shown], **last)
        for control in (score, classes):
            control.change(handlers.show, [analysis, *choice], shown, **last)
        keep.click(handlers.keep, [analysis, *choice], [status], **once)
    page.queue(max_size=MAX_QUEUE)
    return page


def theme() -> Any:
    """Return a theme that needs no file from elsewhere."""
    gr = import_optional("gradio", "app", "serve")
    return gr.themes.Default(primary_hue="amber", font=_FONTS, font_mono=_MONO_FONTS)


class _Handlers:
    """The functions that Gradio calls; each returns the new values of its outputs."""

    def __init__(self, gr: Any, service: Service) -> None:
        self._gr, self._service = gr, service

    def detect(self, path: str | None, threshold: float, classes: list[str], progress: Any) -> list[Any]:
        if path is None:
            return [None, *self._nothing(START)]
        try:
            analysis = self._service.analyse(
                Path(path), lambda done, total: progress((done, total), desc="detect", unit="pictures")
            )
        except UserError as error:
            return [None, *self._nothing(str(error), is_error=True)]
        return [analysis, *self.show(analysis, threshold, classes)]

    def show(self, analysis: Analysis | None, threshold: float, classes: list[str]) -> list[Any]:
        gr = self._gr
        if analysis is None:
            return [gr.skip()] * 7
        try:
            shown = self._service.show(analysis, threshold, classes)
        except UserError as error:
            return self._nothing(str(error), is_error=True)
        text = f"{describe(shown.objects)} in {analysis.path.name} ({analysis.milliseconds:.0f} ms)"
        if analysis.skipped:
            text += f"; {len(analysis.frames)} frames of the video, {analysis.skipped} were skipped"
        is_video, drawing = analysis.is_video, str(shown.drawing)
        return [
            _line(text),
            gr.Image(None if is_video else drawing, visible=not is_video),
            gr.Video(drawing if is_video else None, visible=is_video),
            gr.Dataframe(shown.rows, headers=list(shown.columns)),
            gr.DownloadButton(value=str(shown.coco), interactive=True),
            gr.DownloadButton(value=str(shown.csv), interactive=True),
            gr.Button(interactive=True),
        ]

    def keep(self, analysis: Analysis | None, threshold: float, classes: list[str]) -> str:
        if analysis is None:
            return _line("There is nothing to keep.", is_error=True)
        try:
            return _line(self._service.keep(analysis, threshold, classes))
        except UserError as error:
            return _line(str(error).splitlines()[0], is_error=True)

    def _nothing(self, text: str, is_error: bool = False) -> list[Any]:
        """Return a page without detections."""
        gr = self._gr
        return [
            _line(text, is_error),
            gr.Image(None, visible=True),
            gr.Video(None, visible=False),
            gr.Dataframe([], headers=list(COLUMNS)),
            gr.DownloadButton(value=None, interactive=False),
            gr.DownloadButton(value=None, interactive=False),
            gr.Button(interactive=False),
        ]


def _line(text: str, is_error: bool = False) -> str:
    """Format a line for the visitor as HTML; names of files may contain anything."""
    kind = ' class="error"' if is_error else ""
    return f'<p role="status"{kind}>{html.escape(text)}</p>'
