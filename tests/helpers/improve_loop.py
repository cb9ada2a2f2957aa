"""Run ``improve`` with a planted weakness: a tiny model on tiny frames has none that is sure.

``python -m tests.helpers.improve_loop RUN OUT``; all steps are real.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.improving import measure
from pipeline.improving.loop import improve
from pipeline.improving.settings import ImproveSettings, Loop
from pipeline.improving.weakness import WeakCell

PLANTED = [
    WeakCell("pallet_truck", "mount", "overhead", "recall", 0.4, 0.25, "choose"),
    WeakCell("pedestrian", "layout", "wall", "precision", 0.3, 0.1, "choose"),
]
SETTINGS = ImproveSettings(frames=2, choose_frames=3, proposals=5, policy="weak")


def run(run_dir: Path, out: Path, rounds: int = 2, **changes: Any) -> Path:
    """Run the loop; return its best checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "weak_cells", lambda rows, source, factors=None: PLANTED)
        profile = run_dir / "profile.toml"
        return improve(Loop(run_dir, profile, out, SETTINGS, rounds, workers=1, **{"budget": None} | changes))


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
