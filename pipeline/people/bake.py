"""Write posed body meshes to .npz files for the renderer (command ``people``).

Each file contains a body in metres, which stands on z = 0 and faces +x, with its left side at +y:

    vertices (V, 3) float32      of the posed mesh
    rest (V, 3) float32          the same vertices before posing, for textures that move with the clothes
    faces (F, 3) int32           triangles
    regions (F,) uint8           body part, as an index into ``pipeline.people.bodies.REGIONS``
    keypoints (17, 3) float32    in COCO's order
    grip (3,) float32            between the hands, or the hand behind the body: where a handle is held
"""

from __future__ import annotations

import functools
import importlib.metadata
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from blender.contract import (
    canonical_json,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from pipeline.common.processes import core_count, single_threaded_torch
from pipeline.common.task_pool import map_tasks
from pipeline.config import PeopleConfig, read_people
from pipeline.people.bodies import load_body_model, pose_body, sample_phenotype
from pipeline.people.poses import sample_pose

PEOPLE_VERSION = 1
"""Increase it whenever the same settings give other bodies."""
MIN_BODIES_PER_PROCESS = 8
"""Loading anny takes as long as posing four bodies, so a worker process is worth it from about this
number."""
MAX_PROCESSES = 8
_RNG_STREAM = 0x7E0
"""Part of the seed, so that other stages with the same seed draw other random numbers."""


def bake_people(profile: Path, out: Path, scheduler: str | None = None) -> None:
    """Write the profile's posed body meshes to ``out``, unless they are up to date.

    Args:
        profile: TOML file with the table [people].
        out: folder for an .npz file per body, and manifest.json.
        scheduler: address of a Dask scheduler whose workers pose the bodies, or None.

    Raises:
        UserError: the profile is invalid.
        OSError: ``out`` cannot be written to.
    """
    header = read_people(profile)
    config, seed = header.people, header.seed
    settings = {
        "version": PEOPLE_VERSION,
        "seed": seed,
        "anny": importlib.metadata.version("anny"),
        **asdict(config),
    }
    fingerprint = sha256_bytes(canonical_json(settings))
    if _is_up_to_date(out, fingerprint):
        click.echo("people: up to date")
        return
    click.echo("people: loading anny (about a minute the first time on a machine)", err=True)
    entries = _bake_all(config, seed, out, scheduler)
    for stale in set(out.glob("*.npz")) - {out / e["file"] for e in entries}:
        stale.unlink()
    manifest = {"schema": 1, "fingerprint": fingerprint, "settings": settings, "people": entries}
    write_atomic(out / "manifest.json", canonical_json(manifest))


def _is_up_to_date(out: Path, fingerprint: str) -> bool:
    try:
        manifest = json.loads((out / "manifest.json").read_bytes())
        return bool(manifest["fingerprint"] == fingerprint) and all(
            sha256_file(out / entry["file"]) == entry["sha256"] for entry in manifest["people"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bake_all(config: PeopleConfig, seed: int, out: Path, scheduler: str | None) -> list[dict[str, Any]]:
    """Pose and write all bodies; return their entries in the manifest."""
    entries = []
    bodies = list(enumerate(assign_poses(config)))
    with click.progressbar(length=config.count, label="people", show_pos=True) as bar:
        processes = min(core_count(), MAX_PROCESSES, config.count // MIN_BODIES_PER_PROCESS)
        bake = functools.partial(_bake_body, config, seed)
        for data, entry in map_tasks(bake, bodies, scheduler, processes=processes):
            write_atomic(out / entry["file"], data)
            entries.append(entry)
            bar.update(1)
    return entries


def _bake_body(config: PeopleConfig, seed: int, body: tuple[int, str]) -> tuple[bytes, dict[str, Any]]:
    """Pose a body.

    Args:
        body: its index and the name of its pose.

    Returns:
        The bytes of its .npz file, and its entry in the manifest.
    """
    index, name = body
    model, regions = load_body_model()
    rng = np.random.default_rng([seed, _RNG_STREAM, index])
    with single_threaded_torch():
        phenotype = sample_phenotype(model, config.age, config.women, rng)
        pose = sample_pose(name, rng)
        arrays = pose_body(model, phenotype, pose, regions)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue(), {
        "file": f"{index:04d}.npz",
        "sha256": sha256_bytes(file.getvalue()),
        "pose": name,
        "seated": pose.seated,
        "height": round(float(np.ptp(arrays["rest"][:, 2])), 3),
        "phenotype": {k: round(v, 4) for k, v in phenotype.items()},
    }


def assign_poses(config: PeopleConfig) -> list[str]:
    """Assign a pose to each body in proportion to the poses' weights (largest remainder method).

    Returns:
        ``config.count`` names of poses; equal names follow each other.
    """
    names, weights = list(config.poses), np.array(list(config.poses.values()), float)
    exact = weights / weights.sum() * config.count
    counts = np.floor(exact).astype(int)
    for index in np.argsort(-(exact - counts), kind="stable")[: config.count - counts.sum()]:
        counts[index] += 1
    return [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
