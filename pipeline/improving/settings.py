"""The settings of a loop, the names of its files, and the check that a folder belongs to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from blender.contract import UserError, canonical_json, load_profile, sha256_bytes, sha256_file, write_atomic
from pipeline.common.stages import OWNER, prepare_output_dir
from pipeline.data.combine import NamedSet, hash_coco_set

Policy = Literal["weak", "uniform"]
CHOOSE = "choose"
"""Name of the split on which rounds are compared and weakness is measured."""
FOLDER = "improve"
"""Folder of a loop in the folder of its run."""
LOOP_VERSION = 1
"""Increase it whenever the same settings give other rounds."""


@dataclass(frozen=True)
class ImproveSettings:
    """The options of ``transpalette improve`` that decide on the result."""

    frames: int
    """Frames to render in a round."""
    choose_frames: int
    """Frames of the choosing split, if the profile has no split of that name."""
    proposals: int
    """Scenes that are proposed for each frame that is rendered."""
    policy: Policy
    """"weak": weakness decides; "uniform": scenes are drawn as for training, for comparison."""
    all_rounds: bool = False
    """Whether only the budget ends the loop before the last round, for comparison."""


@dataclass(frozen=True)
class Loop:
    """A loop: the run that it improves, its settings and its folder."""

    run: Path
    """Folder of the run: model.safetensors, people/, train/, val/."""
    profile: Path
    out: Path
    """Folder of the loop."""
    settings: ImproveSettings
    rounds: int
    """Largest number of rounds."""
    budget: float | None
    """Seconds that the loop may take; None: no limit."""
    sets: tuple[NamedSet, ...] = ()
    """Labelled photographs to measure on."""
    negatives: tuple[Path, ...] = ()
    """Folders of photographs without objects to train on."""
    threshold_set: Path | None = None
    """Split that, with validation, selects the score threshold."""
    workers: int = 0
    """Rendering processes; 0: automatic."""

    def round(self, number: int) -> Path:
        """Return the folder of a round; round 0 is the start."""
        return self.out / f"round-{number:02d}"

    def split(self, number: int) -> str:
        """Return the name of the split that a round renders."""
        return f"improve_{number:02d}"

    def model(self, number: int) -> Path:
        """Return the checkpoint of a round."""
        return self.round(number) / "model.safetensors" if number else self.run / "model.safetensors"


def owner_of(run: Path) -> Path:
    """Return the profile of a run, which ``make`` notes in its folder.

    Raises:
        UserError: there is no such note, or it names a file that does not exist.
    """
    try:
        path = run / Path((run / OWNER).read_text(encoding="utf-8").strip())
    except OSError:
        raise UserError(f"{run}: does not say which profile it is of; name it with --profile") from None
    if not path.is_file():
        raise UserError(f"{run}: its profile {path} does not exist any more; name it with --profile")
    return path


def check_run(run: Path, profile: Path) -> dict[str, Any]:
    """Check that a run has all that a loop needs; return the tables of its profile.

    Raises:
        UserError: a file is missing, or the profile lacks a split.
    """
    for name, target in (
        ("model.safetensors", "train"),
        ("people/manifest.json", "people"),
        ("train/annotations.json", "coco"),
        ("val/annotations.json", "coco"),
    ):
        if not (run / name).is_file():
            raise UserError(f"{run / name}: missing; make it first (make {target})")
    tables = load_profile(profile)
    if "train" not in tables["splits"]:
        raise UserError(f"{profile}: no split 'train' in [splits], whose scenes the rounds are drawn from")
    return tables


def claim_folder(loop: Loop, tables: dict[str, Any]) -> None:
    """Note in a loop's folder what decides on its result, and refuse the folder of another loop.

    ``rounds`` and ``budget`` may change: the loop then goes on, or ends earlier.

    Raises:
        UserError: the folder has a loop with other settings or inputs, or a set has the name of the choosing
            split.
    """
    inputs = {
        "settings": asdict(loop.settings),
        "profile": sha256_bytes(canonical_json({k: v for k, v in tables.items() if k != "evaluate"})),
        "model": sha256_file(loop.model(0)),
        "photographs": _hash_sets(loop.sets),
        "negatives": [str(folder) for folder in loop.negatives],
        "threshold set": str(loop.threshold_set or ""),
        "version": LOOP_VERSION,
    }
    if any(named.name == CHOOSE for named in loop.sets):
        raise UserError(f"--set {CHOOSE}=...: the split of this name is measured anyway; choose another name")
    note = loop.out / "settings.json"
    if note.is_file():
        try:
            before = json.loads(note.read_bytes())
        except ValueError:
            before = {}
        changed = [key for key in inputs if before.get(key) != inputs[key]]
        if changed:
            raise UserError(
                f"{loop.out}: has a loop with another {_describe_change(changed, before, inputs)}; "
                "name another folder with --out, or delete that one"
            )
        return
    if loop.out.is_dir() and any(loop.out.iterdir()):
        raise UserError(f"{loop.out}: has other files; name a new folder with --out")
    prepare_output_dir(loop.out)
    write_atomic(note, canonical_json(inputs))


def _describe_change(changed: list[str], before: dict[str, Any], inputs: dict[str, Any]) -> str:
    if changed[0] == "settings":
        old = before.get("settings", {})
        pairs = ((key, old.get(key), value) for key, value in inputs["settings"].items())
        return ", ".join(
            f"--{key.replace('_', '-')} ({was}, now {value})" for key, was, value in pairs if was != value
        )
    return ", ".join(changed)


def _hash_sets(sets: Sequence[NamedSet]) -> list[Any]:
    return [[named.name, *(hash_coco_set(one) for one in named.sets)] for named in sets]


def read_json(path: Path) -> Any:
    """Read a JSON file that the loop wrote."""
    return json.loads(path.read_bytes())
