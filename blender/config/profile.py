"""The tables [render] and [scene] of a profile, read and checked for one split.

``python -m blender.config PROFILE`` checks a profile and prints nothing if it is valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from blender.config.capture import CameraConfig, LightConfig, SensorConfig
from blender.config.layouts import (
    LAYOUTS,
    AisleConfig,
    CrossingConfig,
    DockConfig,
    PackingConfig,
    StagingConfig,
    StoresConfig,
    WallConfig,
)
from blender.contract import ProfileHeader, UserError, canonical_json, from_table, load_profile, sha256_bytes
from blender.contract.limits import Ge, Gt, Le, MinLen, Ordered, Share, Weights
from blender.geometry.lens import covers
from blender.kinds import find_kind

RENDER_VERSION = 10
"""Raise this number when the same profile and seed give other pixels, or records with more information."""

RANGES = ("hall", "rack", "pallet", "carried")
"""Tables of [scene] that are the ``Ranges`` of the kind of object with this name."""


@dataclass(frozen=True)
class RenderConfig:
    """[render]: the size and the quality of the images."""

    width: Annotated[int, Ge(16), Le(8192)] = 400
    """Width of the images in pixels."""
    height: Annotated[int, Ge(16), Le(8192)] = 300
    """Height of the images in pixels."""
    samples: Annotated[int, Ge(1)] = 5
    """Maximum number of light paths per pixel."""
    noise_threshold: Annotated[float, Ge(0), Le(1)] = 0.0
    """Noise below which adaptive sampling stops at a pixel; 0 turns adaptive sampling off."""
    denoise: bool = True
    """Whether OpenImageDenoise cleans the image, guided by albedo and normals."""
    denoise_quality: Literal["fast", "balanced", "high"] = "fast"
    """Quality of the denoiser; a higher quality takes longer."""
    bounces: Annotated[int, Ge(0)] = 1
    """Diffuse and glossy bounces of light; the ambient light stands for all later bounces."""
    passes: tuple[Literal["depth", "normals", "boxes3d"], ...] = ()
    """Files to write beside images and masks: "depth" and "normals"; "boxes3d" adds boxes to the records."""


@dataclass(frozen=True)
class ObjectConfig:
    """[scene.objects.NAME]: one kind of movable object. NAME is free; several tables may share a builder."""

    builder: Annotated[str, MinLen(1)]
    """Kind of object: a module of ``blender/objects``."""
    category: str = ""
    """Class of the objects; empty: not labelled (look-alikes and background)."""
    count: Annotated[tuple[int, int], Ge(0), Ordered()] = (0, 2)
    """Objects per frame; both ends are included."""
    distance: Annotated[tuple[float, float], Gt(0), Ordered()] = (2.0, 12.0)
    """Metres from the camera, uniform on a logarithmic scale."""
    parked: Share = 0.5
    """Share of the objects that stand against a rack or a wall; the others stand in the open."""
    row: Annotated[tuple[int, int], Ge(1), Ordered()] = (1, 1)
    """Number of parked objects side by side; both ends are included."""
    clear: Share = 0.0
    """Share with a free line of sight to the camera, if the camera is below 2.2 metres."""
    ranges: dict[str, Any] = field(default_factory=dict)
    """Ranges of the kind of object; see the table of the kind below."""


@dataclass(frozen=True)
class SceneConfig:
    """[scene]: the layouts and the objects of a scene, and the shares of attached objects."""

    layouts: Annotated[dict[str, float], Weights(LAYOUTS)]
    """Weights of the layouts of a hall."""
    objects: dict[str, ObjectConfig]
    """Kinds of movable objects: a table for each."""
    negatives: Share = 0.12
    """Share of frames without any labelled object."""
    operated: Share = 0.2
    """Share of pallet trucks with a person whose hands are on the tiller."""
    loaded: Share = 0.35
    """Share of pallet trucks that carry a pallet."""
    driven: Share = 0.3
    """Share of counterbalance forklifts with a driver, if a sitting person was baked."""
    under_racks: Share = 0.3
    """Share of parked pallet trucks without a load whose forks are in an open bay of a rack."""
    aisle: AisleConfig = field(default_factory=AisleConfig)
    """The layout "aisle"."""
    staging: StagingConfig = field(default_factory=StagingConfig)
    """The layout "staging"."""
    wall: WallConfig = field(default_factory=WallConfig)
    """The layout "wall"."""
    dock: DockConfig = field(default_factory=DockConfig)
    """The layout "dock"."""
    packing: PackingConfig = field(default_factory=PackingConfig)
    """The layout "packing"."""
    crossing: CrossingConfig = field(default_factory=CrossingConfig)
    """The layout "crossing"."""
    stores: StoresConfig = field(default_factory=StoresConfig)
    """Goods along the walls of any layout."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    """Lenses, and where the camera is mounted."""
    light: LightConfig = field(default_factory=LightConfig)
    """Lamps and ambient light."""
    sensor: SensorConfig = field(default_factory=SensorConfig)
    """Exposure, noise and the other effects of the camera on the image."""
    hall: dict[str, Any] = field(default_factory=dict)
    """The building: ``blender.objects.hall``."""
    rack: dict[str, Any] = field(default_factory=dict)
    """Pallet racks: ``blender.objects.rack``."""
    pallet: dict[str, Any] = field(default_factory=dict)
    """Pallets in staging areas and docks, along walls, and on pallet trucks (there without a second tier):
    ``blender.objects.pallet``."""
    carried: dict[str, Any] = field(default_factory=dict)
    """Cartons in people's hands: ``blender.objects.carried``."""


@dataclass(frozen=True)
class RendererProfile(ProfileHeader):
    """The keys of a profile that the renderer reads."""

    scene: SceneConfig
    """Layouts, objects, camera, light."""
    render: RenderConfig = field(default_factory=RenderConfig)
    """Size and quality of the images."""


@dataclass(frozen=True)
class Config:
    """One split of one profile, ready to render."""

    profile: str
    seed: int
    split: str
    frames: int
    classes: tuple[str, ...]
    render: RenderConfig
    scene: SceneConfig
    ranges: dict[str, Any]
    """The ``Ranges`` of "hall", "rack", "pallet" and "carried", and of each table of [scene.objects]."""
    folder: Path = Path()
    """Folder of the profile. Paths of model files are relative to this folder."""

    def files(self) -> list[str]:
        """Return the paths of all model files in the profile, relative to its folder."""
        tables = self.scene.objects.items()
        return [name for key, t in tables for name in find_kind(t.builder).files(self.ranges[key])]

    def fingerprint(self, blender_version: str, assets_digest: str) -> str:
        """Return the hash of everything that determines the files of this split's frames."""
        render = asdict(self.render)
        render["passes"] = sorted(set(self.render.passes))
        if not render["passes"]:  # the fingerprint stays that of older versions, which had no passes
            del render["passes"]
        settings = {
            "render_version": RENDER_VERSION,
            "blender": blender_version,
            "assets": assets_digest,
            "seed": self.seed,
            "split": self.split,
            "classes": self.classes,
            "render": render,
            "scene": asdict(self.scene),
        }
        return sha256_bytes(canonical_json(settings))


def load_config(path: Path, split: str | None = None) -> Config:
    """Read and check the renderer's tables of a profile for one split (the first if None).

    Raises:
        UserError: the file, a table, a key or a value is wrong, or there is no such split.
    """
    table = load_profile(path)
    used = {key: value for key, value in table.items() if key in RendererProfile.__dataclass_fields__}
    profile = from_table(RendererProfile, used, str(path))
    split = split if split is not None else next(iter(profile.splits))
    if split not in profile.splits:
        raise UserError(f"{path}: no split '{split}'; known: {', '.join(profile.splits)}")
    ranges, problems = _read_ranges(profile.scene, str(path))
    problems += [f"{path}: {line}" for line in (*_lens_problems(profile), *_category_problems(profile))]
    if problems:
        raise UserError("\n".join(problems))
    return Config(
        profile=profile.name,
        seed=profile.seed,
        split=split,
        frames=profile.splits[split],
        classes=profile.classes,
        render=profile.render,
        scene=profile.scene,
        ranges=ranges,
        folder=path.parent,
    )


def _lens_problems(profile: RendererProfile) -> Iterator[str]:
    """Report each lens whose widest field of view does not fit the image's shape."""
    width, height = profile.render.width, profile.render.height
    for name, lens in profile.scene.camera.lenses.items():
        if not covers(name, math.radians(lens.fov[1]), width, height):
            yield (
                f"[scene.camera.lenses.{name}]: fov {lens.fov[1]:g} would put the corners of "
                f"{width} x {height} pixels 90 degrees off the axis or more; lower it"
            )


def _category_problems(profile: RendererProfile) -> Iterator[str]:
    """Report each category that is no class, and each class without objects."""
    made = {table.category for table in profile.scene.objects.values()} - {""}
    for category in sorted(made - set(profile.classes)):
        yield f"category '{category}' of [scene.objects] is missing from classes"
    for category in profile.classes:
        if category not in made:
            yield f"no table of [scene.objects] has the category of class '{category}'"


def _read_ranges(scene: SceneConfig, file: str) -> tuple[dict[str, Any], list[str]]:
    """Read the ``Ranges`` of every kind of object in the scene; also return the problems of their tables."""
    tables = [(name, name, f"scene.{name}", getattr(scene, name)) for name in RANGES]
    for name, table in scene.objects.items():
        tables.append((name, table.builder, f"scene.objects.{name}.ranges", table.ranges))
    ranges, problems = {}, []
    for key, builder, place, table in tables:
        try:
            cls = find_kind(builder).Ranges
        except UserError as error:
            problems.append(f"{file}: [{place.removesuffix('.ranges')}]: {error}")
            continue
        try:
            ranges[key] = from_table(cls, table, file, place)
        except UserError as error:
            problems.append(str(error))
    return ranges, problems
