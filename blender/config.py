"""The renderer's half of a profile: [render], [scene] and [splits] as frozen dataclasses.

``python -m blender.config PROFILE`` checks a profile and says nothing if it is right.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, from_table, load_profile, sha256_bytes
from blender.lenses import LENSES
from blender.objects import kind
from blender.ranges import check_names

RENDER_VERSION = 2
"""Raise it whenever the same profile and seed give other pixels."""


def _ordered(**spans: tuple[float, float]) -> None:
    for name, (low, high) in spans.items():
        if low > high:
            raise ValueError(f"{name} must be a range [low, high], not [{low}, {high}]")


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
    bounces: int = 2
    """Diffuse and glossy bounces of light."""

    def __post_init__(self) -> None:
        if not (16 <= self.width <= 8192 and 16 <= self.height <= 8192):
            raise ValueError("width and height must lie in 16..8192 pixels")
        if self.samples < 1 or self.bounces < 0:
            raise ValueError("samples must be at least 1 and bounces at least 0")


@dataclass(frozen=True)
class MountConfig:
    """[scene.camera.mounts.NAME]: what carries the camera, and how it looks from there."""

    weight: float = 1.0
    height: tuple[float, float] = (0.4, 1.7)
    """Metres above the floor; kept below the roof."""
    pitch: tuple[float, float] = (-12.0, 4.0)
    """Degrees above the horizon."""
    yaw: tuple[float, float] = (-18.0, 18.0)
    """Degrees off the hall's axis."""
    roll: tuple[float, float] = (-2.0, 2.0)
    """Degrees."""

    def __post_init__(self) -> None:
        _ordered(height=self.height, pitch=self.pitch, yaw=self.yaw, roll=self.roll)
        if self.height[0] <= 0:
            raise ValueError("height must be above the floor")


@dataclass(frozen=True)
class CameraConfig:
    """[scene.camera]: its mounts and lenses."""

    mounts: dict[str, MountConfig] = field(default_factory=lambda: {"vehicle": MountConfig()})
    lenses: dict[str, float] = field(default_factory=lambda: {"perspective": 1.0})
    """Weight of each lens: a key of ``blender.lenses.LENSES``."""
    fov: tuple[float, float] = (55.0, 95.0)
    """Horizontal field of view of perspective lenses, degrees ..."""
    fisheye_fov: tuple[float, float] = (85.0, 120.0)
    """... and of fisheye lenses."""

    def __post_init__(self) -> None:
        _ordered(fov=self.fov, fisheye_fov=self.fisheye_fov)
        if not self.mounts:
            raise ValueError("mounts must name at least one")
        check_names("lenses", self.lenses, LENSES)
        for low, high in (self.fov, self.fisheye_fov):
            if low <= 1 or high >= 170:
                raise ValueError("fov must lie in 1..170 degrees")


@dataclass(frozen=True)
class LightConfig:
    """[scene.light]: rows of lamps under the roof, and what is left between them."""

    power: tuple[float, float] = (60.0, 260.0)
    """Watts a lamp."""
    spacing: tuple[float, float] = (3.0, 6.0)
    """Metres between lamps in a row and between rows."""
    lit: tuple[float, float] = (0.35, 1.0)
    """Share of lamps that are on."""
    temperature: tuple[float, float] = (3600.0, 6800.0)
    """Kelvin."""
    ambient: tuple[float, float] = (0.01, 0.15)
    """Strength of the even light from everywhere, W/m2/sr."""

    def __post_init__(self) -> None:
        _ordered(
            power=self.power,
            spacing=self.spacing,
            lit=self.lit,
            temperature=self.temperature,
            ambient=self.ambient,
        )
        if self.spacing[0] < 0.5:
            raise ValueError("spacing must be at least 0.5 metres")


@dataclass(frozen=True)
class SensorConfig:
    """[scene.sensor]: what a camera does to the light; RGB only, never the masks."""

    exposure: tuple[float, float] = (-1.0, 0.9)
    """Stops off the metered exposure."""
    white_balance: tuple[float, float] = (-0.12, 0.12)
    """Gain of red against blue, as a share."""
    contrast: tuple[float, float] = (0.9, 1.35)
    """Slope of the tone curve at mid-grey."""
    saturation: tuple[float, float] = (0.75, 1.15)
    vignetting: tuple[float, float] = (0.0, 0.45)
    """Share of light lost in the corners."""
    noise: tuple[float, float] = (0.002, 0.02)
    """Standard deviation at mid-grey, as a share of white."""
    aberration: tuple[float, float] = (0.0, 0.0015)
    """Lateral chromatic aberration: how much wider red lands than green, and blue less wide, as a share."""
    defocus: tuple[float, float] = (0.0, 0.0016)
    """Radius of the blur disc, as a share of the image's width."""
    glare: tuple[float, float] = (0.0, 0.08)
    """Share of light that strays around bright windows and lamps."""
    jpeg: float = 0.5
    """Share of frames compressed by the camera ..."""
    jpeg_quality: tuple[float, float] = (45.0, 92.0)
    """... and how well, 1 to 100."""
    motion_blur: float = 0.15
    """Share of frames with motion blur ..."""
    motion_length: tuple[float, float] = (0.003, 0.02)
    """... and its length, as a share of the image's width."""
    sharpening: tuple[float, float] = (0.0, 0.8)
    """Strength of the camera's unsharp mask."""


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
    ranges: dict[str, Any] = field(default_factory=dict)
    """The builder's own ranges."""

    def __post_init__(self) -> None:
        _ordered(count=self.count, distance=self.distance, row=self.row)
        if self.distance[0] <= 0 or self.count[0] < 0:
            raise ValueError("distance must be above 0 and count not below 0")


@dataclass(frozen=True)
class SceneConfig:
    """[scene]: what stands where, how it is lit and seen."""

    layouts: dict[str, float]
    """Weight of each layout: a key of ``blender.layout.LAYOUTS``."""
    objects: dict[str, ObjectConfig]
    negatives: float = 0.12
    """Share of frames without any labelled object."""
    operated: float = 0.2
    """Share of pallet trucks with somebody's hands on the tiller."""
    loaded: float = 0.35
    """Share of pallet trucks under a pallet."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    light: LightConfig = field(default_factory=LightConfig)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    hall: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.hall``."""
    rack: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.rack``."""
    pallet: dict[str, Any] = field(default_factory=dict)
    """Ranges of ``blender.objects.pallet``: what a loaded pallet truck carries."""


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
    """Parsed ranges: "hall", "rack", "pallet" and one per object table."""
    folder: Path = Path()
    """The profile's, which the files it names are relative to."""

    def files(self) -> dict[str, Path]:
        """The files that objects are made of, by the name the profile gives them."""
        names = [r.file for r in self.ranges.values() if hasattr(r, "file")]
        return {name: (self.folder / name).resolve() for name in names}

    def fingerprint(self, blender_version: str, assets_digest: str) -> str:
        """Hash of everything that decides the pixels of this split's frames."""
        settings = {
            "render_version": RENDER_VERSION,
            "blender": blender_version,
            "assets": assets_digest,
            "seed": self.seed,
            "split": self.split,
            "classes": self.classes,
            "render": asdict(self.render),
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
    )
    _check(config, path)
    return replace(config, ranges=_parse_ranges(scene, path), folder=path.parent)


def _check(config: Config, path: Path) -> None:
    from blender.layout import LAYOUTS

    for name in config.scene.layouts:
        if name not in LAYOUTS:
            raise UserError(f"{path}: [scene.layouts]: unknown layout '{name}'; known: {', '.join(LAYOUTS)}")
    if not config.scene.layouts:
        raise UserError(f"{path}: [scene.layouts]: at least one layout is needed")
    made = {o.category for o in config.scene.objects.values()} - {""}
    for category in sorted(made - set(config.classes)):
        raise UserError(f"{path}: category '{category}' of [scene.objects] is missing from classes")
    for category in config.classes:
        if category not in made:
            raise UserError(f"{path}: class '{category}' is made by no table of [scene.objects]")


def _parse_ranges(scene: SceneConfig, path: Path) -> dict[str, Any]:
    ranges = {}
    for name in ("hall", "rack", "pallet"):
        ranges[name] = from_table(kind(name).Ranges, getattr(scene, name), f"{path}: [scene.{name}]")
    for name, table in scene.objects.items():
        where = f"{path}: [scene.objects.{name}]"
        try:
            module = kind(table.builder)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        ranges[name] = from_table(module.Ranges, table.ranges, f"{path}: [scene.objects.{name}.ranges]")
    return ranges


if __name__ == "__main__":
    try:
        load_config(Path(sys.argv[1]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
