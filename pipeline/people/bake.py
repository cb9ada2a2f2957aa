"""Bake posed adult bodies with anny into .npz files for the renderer.

Each file holds, in metres, the body standing on z = 0 and facing +x with its left to +y:

    vertices (V, 3) float32      posed
    rest (V, 3) float32          the same vertices before posing, for patterns that move with the cloth
    faces (F, 3) int32           triangles
    regions (F,) uint8           index into ``pipeline.people.bodies.REGIONS``
    keypoints (17, 3) float32    COCO order
    grip (3,) float32            between the hands (or the hand that is off the body), for tools
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
from pipeline.common.processes import core_count, one_thread
from pipeline.common.task_pool import spread
from pipeline.config import PeopleConfig, read_people
from pipeline.people.bodies import bake_body, load_anny, sample_phenotype
from pipeline.people.poses import sample_pose

PEOPLE_VERSION = 1
"""Raise it when the same settings give other bodies."""
BODIES_A_PROCESS, MOST = 8, 8
"""A process loads anny for at least so many bodies, which takes the time of four; processes at most."""


def bake_people(profile: Path, out: Path, scheduler: str | None = None) -> None:
    """Bake the profile's bodies into ``out``; does nothing when they are there already.

    Args:
        scheduler: the address of a Dask scheduler whose workers bake them, or None.

    Raises:
        UserError: the profile is wrong.
        OSError: ``out`` cannot be written.
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
    if _is_current(out, fingerprint):
        click.echo("people: up to date")
        return
    click.echo("people: loading anny (about a minute the first time on a machine)", err=True)
    entries = _bake_all(config, seed, out, scheduler)
    for stale in set(out.glob("*.npz")) - {out / e["file"] for e in entries}:
        stale.unlink()
    manifest = {"schema": 1, "fingerprint": fingerprint, "settings": settings, "people": entries}
    write_atomic(out / "manifest.json", canonical_json(manifest))


def _is_current(out: Path, fingerprint: str) -> bool:
    try:
        manifest = json.loads((out / "manifest.json").read_bytes())
        return bool(manifest["fingerprint"] == fingerprint) and all(
            sha256_file(out / entry["file"]) == entry["sha256"] for entry in manifest["people"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bake_all(config: PeopleConfig, seed: int, out: Path, scheduler: str | None) -> list[dict[str, Any]]:
    entries = []
    bodies = list(enumerate(_pose_plan(config)))
    with click.progressbar(length=config.count, label="people", show_pos=True) as bar:
        processes = min(core_count(), MOST, config.count // BODIES_A_PROCESS)
        work = functools.partial(_bake_one, config, seed)
        for data, entry in spread(work, bodies, scheduler, processes=processes):
            write_atomic(out / entry["file"], data)
            entries.append(entry)
            bar.update(1)
    return entries


def _bake_one(config: PeopleConfig, seed: int, body: tuple[int, str]) -> tuple[bytes, dict[str, Any]]:
    """The file of one body, of a number and a pose, and its entry in the manifest."""
    index, name = body
    model, regions = load_anny()
    rng = np.random.default_rng([seed, 0x7E0, index])
    with one_thread():
        phenotype = sample_phenotype(model, config.age, config.women, rng)
        pose = sample_pose(name, rng)
        arrays = bake_body(model, phenotype, pose, regions)
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


def _pose_plan(config: PeopleConfig) -> list[str]:
    """Spread the poses over the bodies by weight, largest remainder first, so that each occurs."""
    names, weights = list(config.poses), np.array(list(config.poses.values()), float)
    exact = weights / weights.sum() * config.count
    counts = np.floor(exact).astype(int)
    for index in np.argsort(-(exact - counts), kind="stable")[: config.count - counts.sum()]:
        counts[index] += 1
    return [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
