"""The renderer's half of a profile: [render], [scene] and [splits] as frozen dataclasses.

``python -m blender.config PROFILE`` checks a profile and says nothing if it is right.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

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
from blender.contract import (
    ARRAYS,
    UserError,
    canonical_json,
    from_table,
    load_profile,
    sha256_bytes,
)
from blender.geometry.lens import covers
from blender.kinds import find_kind
from blender.sampling import named, ordered

RENDER_VERSION = 10
"""Raise it whenever the same profile and seed give other pixels, or records that say more."""

PASSES = (*ARRAYS, "boxes3d")
"""What [render] passes may name."""
DENOISE_QUALITIES = ("fast", "balanced", "high")
"""What [render] denoise_quality may be: Cycles' names, in lower case."""


@dataclass(frozen=True)
class RenderConfig:
    """[render]: size and effort."""

    width: int = 400
    """Pixels."""
    height: int = 300
    samples: int = 5
    """Light paths a pixel at most."""
    noise_threshold: float = 0.0
    """Adaptive sampling stops a pixel below this noise; 0 turns it off."""
    denoise: bool = True
    """OpenImageDenoise, guided by albedo and normals."""
    denoise_quality: str = "fast"
    """"fast", "balanced" or "high": what the denoiser makes of it, and takes for it."""
    bounces: int = 1
    """Diffuse and glossy bounces of light; ambient light stands for all later ones."""
    passes: tuple[str, ...] = ()
    """What is written beside images and masks: "depth", "normals", "boxes3d" (in the records)."""

    def __post_init__(self) -> None:
        if not (16 <= self.width <= 8192 and 16 <= self.height <= 8192):
            raise ValueError("width and height must lie in 16..8192 pixels")
        if self.samples < 1 or self.bounces < 0:
            raise ValueError("samples must be at least 1 and bounces at least 0")
        if self.denoise_quality not in DENOISE_QUALITIES:
            raise ValueError(f"denoise_quality must be one of: {', '.join(DENOISE_QUALITIES)}")
        for name in self.passes:
            if name not in PASSES:
                raise ValueError(f"passes: unknown '{name}'; known: {', '.join(PASSES)}")


@dataclass(frozen=True)
class ObjectConfig:
    """[scene.objects.NAME]: one kind of movable object."""

    builder: str
    """The module in ``blender/objects`` that makes it."""
    category: str = ""
    """Its class; none: never labelled (a look-alike, or background)."""
    count: tuple[int, int] = (0, 2)
    """Per frame; both ends included."""
    distance: tuple[float, float] = (2.0, 12.0)
    """Metres from the camera, drawn so that near and far are equally likely."""
    parked: float = 0.5
    """Share that stands against a rack or a wall; the others stand in the open."""
    row: tuple[int, int] = (1, 1)
    """How many parked ones stand side by side; both ends included."""
    clear: float = 0.0
    """Share that nothing stands before, as a camera at a person's height or lower sees it."""
    ranges: dict[str, Any] = field(default_factory=dict)
    """The builder's own ranges."""

    def __post_init__(self) -> None:
        ordered(count=self.count, distance=self.distance, row=self.row)
        if self.distance[0] <= 0 or self.count[0] < 0:
            raise ValueError("distance must be above 0 and count not below 0")
        if not 0 <= self.clear <= 1:
            raise ValueError("clear must lie in 0..1")


@dataclass(frozen=True)
class SceneConfig:
    """[scene]: what stands where, how it is lit and seen."""

    layouts: dict[str, float]
    """Weight of each layout: a key of ``blender.scene.layouts.LAYOUTS``."""
    objects: dict[str, ObjectConfig]
    negatives: float = 0.12
    """Share of frames without any labelled object."""
    operated: float = 0.2
    """Share of pallet trucks with somebody's hands on the tiller."""
    loaded: float = 0.35
    """Share of pallet trucks under a pallet."""
    driven: float = 0.3
    """Share of counterbalance forklifts with a driver, if people who sit are baked."""
    under_racks: float = 0.3
    """Share of parked, unloaded pallet trucks with the forks in an open bay of a rack, where there is one."""
    aisle: AisleConfig = field(default_factory=AisleConfig)
    staging: StagingConfig = field(default_factory=StagingConfig)
    wall: WallConfig = field(default_factory=WallConfig)
    dock: DockConfig = field(default_factory=DockConfig)
    packing: PackingConfig = field(default_factory=PackingConfig)
    crossing: CrossingConfig = field(default_factory=CrossingConfig)
    stores: StoresConfig = field(default_factory=StoresConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    light: LightConfig = field(default_factory=LightConfig)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    hall: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.hall``."""
    rack: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.rack``."""
    pallet: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.pallet``: in staging areas, docks, along walls, and on pallet trucks, there
    never in tiers."""
    carried: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.carried``: the cartons in people's hands."""


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
    """Parsed ranges: "hall", "rack", "pallet", "carried" and one per object table."""
    folder: Path = Path()
    """Where the profile lies: its files are named relative to it."""

    def files(self) -> list[str]:
        """Names of the models that the profile's objects are read from."""
        tables = self.scene.objects.items()
        return [name for key, t in tables for name in find_kind(t.builder).files(self.ranges[key])]

    def fingerprint(self, blender_version: str, assets_digest: str) -> str:
        """Hash of everything that decides the files of this split's frames."""
        render = asdict(self.render)
        render["passes"] = sorted(set(self.render.passes))
        if not render["passes"]:  # a pass that is off leaves no trace
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
    """Read and check a profile for one split (the first one if None).

    Raises:
        UserError: the file, a table, a key or a value is wrong, or there is no such split.
    """
    table = load_profile(path)
    splits, classes = table["splits"], table["classes"]
    if not isinstance(table["seed"], int) or table["seed"] < 0:
        raise UserError(f"{path}: seed must be an integer from 0")
    if not isinstance(splits, dict) or not all(type(n) is int and n > 0 for n in splits.values()):
        raise UserError(f"{path}: [splits] must give each split's number of frames, from 1")
    split = split if split is not None else next(iter(splits), "")
    if split not in splits:
        raise UserError(f"{path}: no split '{split}'; known: {', '.join(splits)}")
    scene = from_table(SceneConfig, table.get("scene", {}), f"{path}: [scene]")
    config = Config(
        profile=str(table["name"]),
        seed=table["seed"],
        split=split,
        frames=splits[split],
        classes=tuple(classes),
        render=from_table(RenderConfig, table.get("render", {}), f"{path}: [render]"),
        scene=scene,
        ranges={},
        folder=path.parent,
    )
    _check(config, path)
    return replace(config, ranges=_parse_ranges(scene, path))


def _check(config: Config, path: Path) -> None:
    try:
        named("layouts", config.scene.layouts, LAYOUTS)
    except ValueError as error:
        raise UserError(f"{path}: [scene]: {error}") from None
    width, height = config.render.width, config.render.height
    for name, lens in config.scene.camera.lenses.items():
        if not covers(name, math.radians(lens.fov[1]), width, height):
            raise UserError(
                f"{path}: [scene.camera.lenses.{name}]: fov {lens.fov[1]:g} would put the corners of "
                f"{width} x {height} pixels 90 degrees off the axis or more; lower it"
            )
    made = {o.category for o in config.scene.objects.values()} - {""}
    for category in sorted(made - set(config.classes)):
        raise UserError(f"{path}: category '{category}' of [scene.objects] is missing from classes")
    for category in config.classes:
        if category not in made:
            raise UserError(f"{path}: class '{category}' is made by no table of [scene.objects]")


def _parse_ranges(scene: SceneConfig, path: Path) -> dict[str, Any]:
    ranges = {}
    for name in ("hall", "rack", "pallet", "carried"):
        ranges[name] = from_table(find_kind(name).Ranges, getattr(scene, name), f"{path}: [scene.{name}]")
    for name, table in scene.objects.items():
        where = f"{path}: [scene.objects.{name}]"
        try:
            kind = find_kind(table.builder)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        ranges[name] = from_table(kind.Ranges, table.ranges, f"{path}: [scene.objects.{name}.ranges]")
    return ranges
