"""The ``transpalette`` command: one module for each section of ``transpalette --help``.

A command imports its implementation only when it runs, for start-up time: torch takes seconds to import, and
``--help`` and shell completion must not wait for it.
"""

from __future__ import annotations

import click

from pipeline.cli import camera, data, improve, model, page, predict, scenes, tracks
from pipeline.cli.group import SectionedGroup

SECTIONS = {
    "Scenes": (scenes.check, scenes.fit, scenes.people, scenes.render, scenes.merge, scenes.doctor),
    "Data": (data.coco, data.validate, data.labels, data.convert, data.preview, data.stats, data.card),
    "Model": (
        model.train,
        model.evaluate,
        improve.improve,
        tracks.tracks,
        predict.predict,
        page.serve,
        camera.calibrate,
        model.prelabel,
        model.export,
        model.report,
    ),
}
"""Title in ``--help`` -> its commands."""


@click.group(
    cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="transpalette")
def main() -> None:
    """Render warehouse scenes with instance masks, and fine-tune Mask R-CNN on them."""


for _title, _commands in SECTIONS.items():
    for _command in _commands:
        main.add_command(_command)
    main.sections[_title] = [str(_command.name) for _command in _commands]
