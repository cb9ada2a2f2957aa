"""The steps of a round: the profile patch, the choice of scenes, the renders, the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blender.contract import canonical_json, merge_tables, read_toml, write_atomic
from blender.contract.profiles import move_model_files
from pipeline.common.toml import to_toml
from pipeline.config import Profile
from pipeline.improving.choice import SliceReader, choose
from pipeline.improving.measure import Metrics, weakness_of
from pipeline.improving.patch import Patch, profile_patch
from pipeline.improving.settings import CHOOSE, Loop, read_json
from pipeline.improving.stages import describe_scenes, render, run_stage

Tables = dict[str, Any]
PROFILE, PATCH, FRAMES, RENDERS = "profile.toml", "patch.toml", "frames.json", "renders"
"""Names of a round's files and of its folder of renders."""


def render_choosing_split(loop: Loop, tables: Tables) -> None:
    """Render the choosing split, and describe its scenes and the profile's weights.

    Its scenes are those of the test split, if they differ from [scene], but its frames are others.
    """
    splits, scenes = tables["splits"], tables.get("scenes", {})
    changes: Tables = {"splits": {CHOOSE: splits.get(CHOOSE, loop.settings.choose_frames)}}
    if CHOOSE not in scenes and "test" in scenes:
        changes["scenes"] = {CHOOSE: scenes["test"]}
    path = write_profile(loop, loop.out, merge_tables(tables, changes))
    people = loop.run / "people"
    render(path, CHOOSE, people, loop.out / CHOOSE, loop.workers)
    described: tuple[tuple[str, str, int | None], ...] = (
        ("choose.json", CHOOSE, None),
        ("weights.json", "train", 0),
    )
    for name, split, count in described:
        if not (loop.out / name).is_file():
            describe_scenes(path, split, people, loop.out / name, count)


def render_round(
    loop: Loop, profile: Profile, tables: Tables, number: int, best: int, metrics: Metrics
) -> None:
    """Compute the patch of a round, choose its scenes and render them.

    Args:
        loop: the loop.
        profile, tables: the run's profile.
        number: number of the round.
        best: the best round so far, from whose checkpoint the round trains on.
        metrics: its figures, whose weakness decides.
    """
    folder, split, settings = loop.round(number), loop.split(number), loop.settings
    folder.mkdir(parents=True, exist_ok=True)
    cells, mistaken = weakness_of(metrics) if settings.policy == "weak" else ([], [])
    weights = read_json(loop.out / "weights.json")
    previous: Patch = read_toml(loop.round(number - 1) / PATCH) if number > 1 else {}
    patch = profile_patch(weights["weights"], weights["tables"], previous, cells, mistaken)
    write_atomic(folder / PATCH, to_toml(patch).encode())
    changes = {
        "splits": {split: settings.frames * settings.proposals},
        "scenes": {split: merge_tables(tables.get("scenes", {}).get("train", {}), patch.get("scene", {}))},
        "model": {"weights": str(loop.model(best))},
        "train": {"extra": [*tables.get("train", {}).get("extra", []), *_sets_of_rounds(loop, number)]},
    }
    path, people = write_profile(loop, folder, merge_tables(tables, changes)), loop.run / "people"
    if not (folder / FRAMES).is_file():
        describe_scenes(path, split, people, folder / "proposals.json")
        reader = SliceReader(read_json(loop.out / CHOOSE / "annotations.json"), profile.classes)
        scenes, least = read_json(folder / "proposals.json")["images"], profile.coco.min_pixels
        choice = choose(scenes, cells, mistaken, reader, settings.frames, least)
        table = {"split": split, "frames": list(choice.frames), "weak": choice.hits, "proposals": len(scenes)}
        write_atomic(folder / FRAMES, canonical_json(table))
    (folder / "proposals.json").unlink(missing_ok=True)  # large, and the profile gives the same again
    frames = ",".join(map(str, read_json(folder / FRAMES)["frames"]))
    render(path, split, people, folder / RENDERS, loop.workers, frames)


def train_round(loop: Loop, number: int) -> None:
    """Train on from the best checkpoint, on the training split and the renders of all rounds.

    The checkpoint that the round keeps says nothing about the time that its training took, so that an
    interrupted loop ends with the same bytes.
    """
    from pipeline.models import safetensors_file  # imports torch

    folder = loop.round(number)
    options = [f"--negatives={negatives}" for negatives in loop.negatives]
    options += [f"--threshold-set={loop.threshold_set}"] if loop.threshold_set else []
    run_stage(
        "pipeline", "train", "--profile", folder / PROFILE, "--train", loop.run / "train",
        "--val", loop.run / "val", "--out", folder / "training", *options,
    )  # fmt: skip
    data = (folder / "training" / "model.safetensors").read_bytes()
    tensors, metadata = safetensors_file.decode(data), safetensors_file.verify(data)
    write_atomic(loop.model(number), safetensors_file.encode(tensors, metadata | {"seconds": "0.0"}))


def _sets_of_rounds(loop: Loop, number: int) -> list[Tables]:
    """Return the [[train.extra]] entries of the renders of the rounds up to ``number``."""
    folders = [loop.round(n) / RENDERS for n in range(1, number + 1)]
    return [{"annotations": str(f / "annotations.json"), "images": str(f / "images")} for f in folders]


def write_profile(loop: Loop, folder: Path, tables: Tables) -> Path:
    """Write a complete profile to a folder of the loop; return its path."""
    path = folder / PROFILE
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, to_toml(move_model_files(tables, loop.profile.parent, folder)).encode())
    return path
