"""Render the first frame of several profiles in one process, because Blender takes longer to start than to
render a tiny frame.

``python -m tests.helpers.render_each PEOPLE OUT PROFILE ...`` writes the frames to OUT/0, OUT/1, ...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.rendering.device import Device
from blender.rendering.frame import RenderContext, RenderJob, blender_version, render_frame


def main(people: Path, out: Path, profiles: list[Path]) -> None:
    """Render frame 0 of the training split of each profile."""
    assets = load_assets(people)
    for number, profile in enumerate(profiles):
        config, folder = load_config(profile, "train"), out / str(number)
        fingerprint = config.fingerprint(blender_version(), assets.digest)
        job = RenderJob(str(profile), config.split, str(people), str(folder), fingerprint)
        with tempfile.TemporaryDirectory() as scratch:
            context = RenderContext(job, config, assets, folder)
            render_frame(context, 0, Device("CPU"), 1, Path(scratch))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
