"""The command ``serve``: start the page on this machine, and end it on Ctrl-C."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError
from blender.contract.shipped import shipped_folder
from pipeline.common.interrupts import defer_interrupts
from pipeline.common.optional import import_optional
from pipeline.inference.segmenter import load
from pipeline.labelling.collection import Collection
from pipeline.serving.page import STYLE, build_page, theme
from pipeline.serving.service import Service
from pipeline.serving.uploads import MAX_BYTES

HOST = "127.0.0.1"
"""The page is for this machine alone."""
EXAMPLES = ("aisle.jpg", "hall.jpg", "walkie.jpg")
"""Rendered pictures that the page offers."""
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; font-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""What a browser may load: nothing from other hosts. Gradio's page has scripts and styles inside."""


def serve(
    model: Path | None,
    port: int,
    classes: tuple[str, ...],
    threshold: float | None,
    tool: str,
    keep: Path,
    max_frames: int,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        model: a checkpoint (model.safetensors), or an exported .onnx file; None: the general warehouse
            detector that comes with Transpalette.
        port: the port on 127.0.0.1.
        classes: the classes to detect; empty: all of the model, or pedestrians and pallet trucks of the
            general warehouse detector.
        threshold: the score threshold at the start; None: the model's.
        tool: the annotation tool for kept pictures, a key of ``pipeline.labelling.prelabel.WRITERS``.
        keep: the folder for kept pictures; it is created with the first one.
        max_frames: largest number of frames of a video that are predicted.

    Raises:
        UserError: a package or the model is missing, the port is in use, or ``keep`` has other files.
    """
    with tempfile.TemporaryDirectory(prefix="transpalette-") as temporary:
        folder = Path(temporary)
        _set_environment(folder)
        import_optional("gradio", "app", "serve")
        segmenter = load(model, classes=classes)
        results = folder / "results"
        results.mkdir()
        service = Service(segmenter, results, Collection(keep, tool, segmenter.classes), max_frames)
        demo = shipped_folder("demo")
        page = build_page(
            service,
            segmenter.threshold if threshold is None else threshold,
            [demo / name for name in EXAMPLES],
        )
        with defer_interrupts("serve: ends") as interrupts:
            _launch(page, port, [str(results), str(demo)])
            click.echo(f"serve: http://{HOST}:{port}/ (Ctrl-C ends it)")
            while not interrupts.came():
                time.sleep(0.2)
            service.end()
            page.close(verbose=False)


def _set_environment(folder: Path) -> None:
    """Switch off what Gradio would request from other hosts; must run before it is imported.

    Uploads go to ``folder``, so that none is left when the page ends.
    """
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "NO_PROXY": HOST,  # Gradio asks its own page whether it runs, and must not ask a proxy for it
        "no_proxy": HOST,
    }


def _launch(page: Any, port: int, folders: list[str]) -> None:
    """Start the server in a thread.

    Args:
        page: the ``gradio.Blocks``.
        port: the port.
        folders: folders whose files the page shows.

    Raises:
        UserError: the port is in use.
    """
    middleware = import_optional("starlette.middleware", "app", "serve").Middleware
    hosts = import_optional("starlette.middleware.trustedhost", "app", "serve").TrustedHostMiddleware
    try:
        page.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MAX_BYTES,
            allowed_paths=folders,
            root_path="",
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            state_session_capacity=16,
            theme=theme(),
            css_paths=STYLE,
            app_kwargs={
                "middleware": [
                    # Other sites must not reach the page by a host name that they point to this machine.
                    middleware(hosts, allowed_hosts=[HOST, "localhost"]),
                    middleware(SecurityHeaders),
                ]
            },
        )
    except OSError:
        raise UserError(f"port {port} is in use; give another --port") from None


class SecurityHeaders:
    """ASGI middleware that tells the browser to load nothing from other hosts."""

    def __init__(self, app: Any) -> None:
        """Wrap the ASGI application ``app``."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)
