"""The tables [render] and [scene] of a profile, read and checked for one split.

``python -m blender.config PROFILE`` checks a profile and prints nothing if it is valid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from blender.config.capture import CameraConfig, LensConfig, LightConfig, SensorConfig, fit_lenses
from blender.config.clip import ClipConfig
from blender.config.fingerprint import hashed_tables
from blender.config.kind_classes import AuxiliaryClasses, auxiliary_problems, kinds_of
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
from blender.config.objects import category_problems, fill_like_tables, read_ranges, subtable
from blender.contract import (
    ProfileHeader,
    UserError,
    canonical_json,
    merge_tables,
    read_tables,
    read_toml,
    sha256_bytes,
)
from blender.contract.limits import Ge, Gt, Le, MinLen, Ordered, Share, Weights
from blender.contract.table_reader import try_from_table
from blender.kinds import find_kind

RENDER_VERSION = 13
"""Raise this number when the same profile and seed give other pixels, or records with more information."""


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
    passes: tuple[Literal["depth", "normals", "light", "boxes3d"], ...] = ()
    """Files to write beside images and masks: "depth", "normals" and "light" (linear, before the sensor);
    "boxes3d" adds boxes to the records."""


@dataclass(frozen=True)
class ObjectConfig:
    """[scene.objects.NAME]: one kind of movable object. NAME is free; several tables may share a builder."""

    builder: Annotated[str, MinLen(1)]
    """Kind of object: a module of ``blender/objects``."""
    category: str = ""
    """Class of the objects; empty: not labelled (look-alikes and background)."""
    count: Annotated[tuple[int, int], Ge(0), Ordered()] = (0, 2)
    """Objects per frame; both ends are included."""
    frames: Share = 1.0
    """Share of the frames that have such objects; in the others ``count`` does not matter."""
    distance: Annotated[tuple[float, float], Gt(0), Ordered()] = (2.0, 12.0)
    """Metres from the camera, uniform on a logarithmic scale."""
    parked: Share = 0.5
    """Share of the objects that stand against a rack or a wall; the others stand in the open."""
    row: Annotated[tuple[int, int], Ge(1), Ordered()] = (1, 1)
    """Number of parked objects side by side; both ends are included."""
    clear: Share = 0.0
    """Share with a free line of sight to the camera, if the camera is below 2.2 metres."""
    cut: Share = 0.0
    """Share that the edge of the picture cuts off, so that a part of the object is in the picture; for small
    ``distance``. Of the others, a point one metre above the floor is in the picture."""
    beside: Share = 0.0
    """Share that stands close beside a labelled object, if the scene has one."""
    aligned: Share = 0.0
    """Share along or across the hall, of those in the open."""
    like: str = ""
    """Another table of [scene.objects]: this one has its keys, also its ranges, where it sets none itself."""
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
    """Share of forklifts, reach trucks, order pickers and tow tractors with a driver."""
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
    clip: ClipConfig = field(default_factory=ClipConfig)
    """Clips: frames in a row that show one scene in motion."""
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
    model: AuxiliaryClasses = field(default_factory=AuxiliaryClasses)
    """The auxiliary classes, the only key of [model] that the renderer reads."""


@dataclass(frozen=True)
class Config:
    """One split of one profile, ready to render."""

    profile: str
    seed: int
    split: str
    frames: int
    classes: tuple[str, ...]
    auxiliary: tuple[str, ...]
    """Auxiliary classes: see ``blender.config.kind_classes``."""
    render: RenderConfig
    scene: SceneConfig
    ranges: dict[str, Any]
    """The ``Ranges`` of "hall", "rack", "pallet" and "carried", and of each table of [scene.objects]."""
    folder: Path = Path()
    """Folder of the profile. Paths of model files are relative to this folder."""
    notes: tuple[str, ...] = ()
    """What was changed to fit the profile's other values: lines for the user."""

    def files(self) -> list[str]:
        """Return the paths of all model files in the profile, relative to its folder."""
        tables = self.scene.objects.items()
        return [name for key, t in tables for name in find_kind(t.builder).files(self.ranges[key])]

    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Return the kinds of object of each class, without classes that have the name of their only kind."""
        kinds: dict[str, set[str]] = {name: set() for name in self.classes}
        for table in self.scene.objects.values():
            if table.category:
                kinds[table.category].add(table.builder)
        kinds |= {name: kinds_of(name) for name in self.kind_classes()}
        return {name: tuple(sorted(made)) for name, made in kinds.items() if made != {name}}

    def kind_classes(self) -> tuple[str, ...]:
        """Return the classes and auxiliary classes that label every object of a kind or a variant."""
        made = {table.category for table in self.scene.objects.values()}
        return tuple(name for name in self.categories() if name not in made)

    def categories(self) -> tuple[str, ...]:
        """Return the classes and the auxiliary classes: COCO's category ids are 1..N in this order."""
        return (*self.classes, *self.auxiliary)

    def fingerprint(self, blender_version: str, assets_digest: str) -> str:
        """Return the hash of everything that determines the files of this split's frames."""
        render, scene = hashed_tables(asdict(self.render), asdict(self.scene))
        settings = {
            "render_version": RENDER_VERSION, "blender": blender_version, "assets": assets_digest,
            "seed": self.seed, "split": self.split, "classes": self.classes, "render": render, "scene": scene,
        }  # fmt: skip
        if self.auxiliary:
            settings["auxiliary"] = self.auxiliary
        return sha256_bytes(canonical_json(settings))


def load_config(path: Path, split: str | None = None) -> Config:
    """Read and check the renderer's tables of a profile for one split (the first if None).

    Raises:
        UserError: a line for each unknown key, each wrong value, and each check of several tables that fails.
    """
    table, problems = read_tables(path)
    used = {key: value for key, value in table.items() if key in RendererProfile.__dataclass_fields__}
    used["model"] = {key: v for key, v in subtable(table, "model").items() if key == "auxiliary"}
    splits = subtable(used, "splits")
    split = split if split is not None else next(iter(splits), "")
    if splits and split not in splits:
        problems.append(f"{path}: no split '{split}'; known: {', '.join(splits)}")
    profile, ranges, lenses, notes = _read_tables(used, path, problems)
    for name, changes in subtable(table, "scenes").items():
        if name not in splits or not isinstance(changes, dict):
            reason = f"must be a table, not {changes!r}" if name in splits else "is no split of [splits]"
            problems.append(f"{path}: [scenes.{name}]: {reason}")
            continue
        scene, more = merge_tables(subtable(used, "scene"), changes), list[str]()
        changed = _read_tables(used | {"scene": scene}, path, more)
        problems += [line.replace("[scene", f"[scenes.{name}", 1) for line in more if line not in problems]
        if name == split:
            profile, ranges, lenses, notes = changed
    if problems or profile is None:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return Config(
        profile=profile.name,
        seed=profile.seed,
        split=split,
        frames=profile.splits[split],
        classes=profile.classes,
        auxiliary=profile.model.auxiliary,
        render=profile.render,
        scene=replace(profile.scene, camera=replace(profile.scene.camera, lenses=lenses)),
        ranges=ranges,
        folder=path.parent,
        notes=notes,
    )


def _read_tables(
    used: dict[str, Any], path: Path, problems: list[str]
) -> tuple[RendererProfile | None, dict[str, Any], dict[str, LensConfig], tuple[str, ...]]:
    """Read the renderer's tables and check them together; add lines to ``problems``.

    Returns:
        The profile, the ranges of its kinds of object, its lenses, and notes for the user.
    """
    used = fill_like_tables(used, str(path), problems)
    profile = try_from_table(RendererProfile, used, str(path), "", problems)
    ranges = read_ranges(used, str(path), problems)
    lenses, notes = _fit_lenses(used, path, problems)
    problems += [f"{path}: {line}" for line in category_problems(used)]
    if profile is not None:
        problems += [f"{path}: {line}" for line in auxiliary_problems(profile.model, profile.classes)]
    return profile, ranges, lenses, notes


def _fit_lenses(
    used: dict[str, Any], path: Path, problems: list[str]
) -> tuple[dict[str, LensConfig], tuple[str, ...]]:
    """Fit the lenses to the image's shape; see ``blender.config.capture.fit_lenses``.

    Returns:
        The lenses that fit, none if one of the tables is wrong; and the notes for the user.
    """
    size, camera = subtable(used, "render"), subtable(used, "scene", "camera")
    size = {key: value for key, value in size.items() if key in ("width", "height")}
    render = try_from_table(RenderConfig, size, "", "", [])
    lenses = {key: value for key, value in camera.items() if key == "lenses"}
    config = try_from_table(CameraConfig, lenses, "", "", [])
    if render is None or config is None:
        return {}, ()
    own = subtable(read_toml(path), "scene", "camera", "lenses")
    named = {name for name, lens in own.items() if isinstance(lens, dict) and "fov" in lens}
    fitted, lines, note = fit_lenses(config.lenses, named, render.width, render.height)
    problems += [f"{path}: {line}" for line in lines]
    return fitted, (f"{path}: {note}",) if note else ()
