"""[scene.camera], [scene.light] and [scene.sensor] of a profile: how a scene is lit and photographed."""

from __future__ import annotations

from dataclasses import dataclass, field

from blender.geometry.lens import LENSES
from blender.sampling import ordered, shares, weighted


@dataclass(frozen=True)
class LensConfig:
    """[scene.camera.lenses.NAME]: one key of ``blender.geometry.lens.LENSES``."""

    weight: float
    fov: tuple[float, float]
    """Horizontal field of view, degrees."""

    def __post_init__(self) -> None:
        ordered(fov=self.fov)
        if self.fov[0] <= 1 or self.fov[1] > 150:
            raise ValueError("fov must lie in 1..150 degrees")


@dataclass(frozen=True)
class MountConfig:
    """[scene.camera.mounts.NAME]: what carries a camera, and how it then looks."""

    weight: float
    height: tuple[float, float]
    """Metres above the floor; the hall is made higher where its roof would be too low."""
    behind: tuple[float, float] = (0.4, 1.6)
    """Metres of floor between the camera and the wall behind it."""
    floor: tuple[float, float] | None = None
    """Metres of floor from below the camera on that the view is centred on; none: on the horizon."""
    pitch: tuple[float, float] = (-12.0, 4.0)
    """Degrees above what the view is centred on."""
    yaw: tuple[float, float] = (-18.0, 18.0)
    """Degrees off the hall's axis."""
    roll: tuple[float, float] = (-2.0, 2.0)
    """Degrees."""

    def __post_init__(self) -> None:
        ordered(height=self.height, behind=self.behind, pitch=self.pitch, yaw=self.yaw, roll=self.roll)
        if self.height[0] < 0.1 or self.behind[0] < 0.1:
            raise ValueError("height and behind must be at least 0.1 metres")
        if self.floor is not None:
            ordered(floor=self.floor)
            if self.floor[0] <= 0:
                raise ValueError("floor must be above 0 metres")
        if self.pitch[0] < -60 or self.pitch[1] > 60:
            raise ValueError("pitch must lie in -60..60 degrees")


def _lenses() -> dict[str, LensConfig]:
    return {
        "perspective": LensConfig(6.0, (55.0, 95.0)),
        "wide": LensConfig(1.0, (80.0, 110.0)),
        "equisolid": LensConfig(0.5, (90.0, 120.0)),
        "equidistant": LensConfig(0.5, (90.0, 120.0)),
    }


def _mounts() -> dict[str, MountConfig]:
    return {
        "vehicle": MountConfig(7.0, (0.3, 1.7)),
        "hand": MountConfig(2.0, (1.3, 1.8), pitch=(-15.0, 5.0), roll=(-6.0, 6.0)),
        "overhead": MountConfig(
            1.0, (3.0, 7.0), behind=(0.15, 0.6), floor=(3.0, 12.0), pitch=(-4.0, 4.0), yaw=(-25.0, 25.0)
        ),
    }


@dataclass(frozen=True)
class CameraConfig:
    """[scene.camera]: weighted kinds of lens and of mount; naming one table replaces its defaults."""

    lenses: dict[str, LensConfig] = field(default_factory=_lenses)
    mounts: dict[str, MountConfig] = field(default_factory=_mounts)
    """Any names; they end up in the frames' records."""

    def __post_init__(self) -> None:
        for name in self.lenses:
            if name not in LENSES:
                raise ValueError(f"unknown lens '{name}'; known: {', '.join(LENSES)}")
        weighted(
            lenses={name: lens.weight for name, lens in self.lenses.items()},
            mounts={name: mount.weight for name, mount in self.mounts.items()},
        )


ENVIRONMENTS = ("none", "city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
"""What the ambient light is coloured by: nothing, or one of the panoramas inside Blender (CC0)."""


def _environments() -> dict[str, float]:
    return {"none": 5.0, "interior": 1.0, "studio": 1.0, "city": 0.5, "courtyard": 0.5}


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
    row_temperature: tuple[float, float] = (-400.0, 400.0)
    """Kelvin by which each row of lamps differs: tubes of several makes and ages."""
    ambient: tuple[float, float] = (0.05, 0.22)
    """Strength of the light that has been reflected too often to be traced, W/m2/sr."""
    environments: dict[str, float] = field(default_factory=_environments)
    """Weights of what colours that light: keys of ``ENVIRONMENTS``, "none" for an even white."""
    dark: float = 0.12
    """Share of dark halls: few lamps on, little ambient light."""
    dark_lit: tuple[float, float] = (0.08, 0.3)
    """Share of a dark hall's lamps that are on ..."""
    dark_ambient: float = 0.2
    """... and of its ambient light that is left."""
    tubes: float = 0.7
    """Share of halls with long lamps; the others have square ones."""
    unlit_end: float = 0.2
    """Share of halls with the lamps off at one end or side."""

    def __post_init__(self) -> None:
        ordered(
            power=self.power,
            spacing=self.spacing,
            lit=self.lit,
            temperature=self.temperature,
            row_temperature=self.row_temperature,
            ambient=self.ambient,
            dark_lit=self.dark_lit,
        )
        shares(lit=self.lit, dark=self.dark, unlit_end=self.unlit_end)
        shares(dark_lit=self.dark_lit, dark_ambient=self.dark_ambient, tubes=self.tubes)
        if self.spacing[0] < 0.5:
            raise ValueError("spacing must be at least 0.5 metres")
        if self.power[0] < 0 or self.ambient[0] < 0:
            raise ValueError("power and ambient must not be below 0")
        if self.temperature[0] + self.row_temperature[0] < 1000:
            raise ValueError("temperature must stay above 1000 kelvin in every row")
        for name in self.environments:
            if name not in ENVIRONMENTS:
                raise ValueError(f"unknown environment '{name}'; known: {', '.join(ENVIRONMENTS)}")
        weighted(environments=self.environments)


@dataclass(frozen=True)
class SensorConfig:
    """[scene.sensor]: what a camera does to the light; RGB only, never the masks.

    In the order of ``blender.imaging.sensor.expose``.
    """

    exposure: tuple[float, float] = (-0.8, 1.0)
    """Stops off the metered exposure."""
    neutral: tuple[float, float] = (0.4, 0.95)
    """Share of the picture's colour cast that the automatic white balance takes out ..."""
    white_balance: tuple[float, float] = (-0.1, 0.1)
    """... and its error: gain of red against blue, as a share."""
    haze: tuple[float, float] = (0.0, 0.012)
    """Dust in the air: share of the light lost a metre, replaced by grey."""
    vignetting: tuple[float, float] = (0.0, 0.45)
    """Share of light lost in the corners."""
    glare: tuple[float, float] = (0.0, 0.05)
    """Share of the light above white that the lens scatters about its place."""
    glare_radius: tuple[float, float] = (0.01, 0.04)
    """How far, as a share of the picture's width (standard deviation)."""
    aberration: tuple[float, float] = (0.0, 0.0015)
    """Lateral chromatic aberration: share by which red is larger and blue smaller than green."""
    defocus: float = 0.35
    """Share of frames that are out of focus ..."""
    defocus_radius: tuple[float, float] = (0.001, 0.0025)
    """... and the radius of their blur disc, as a share of the picture's width."""
    motion_blur: float = 0.15
    """Share of frames with motion blur ..."""
    motion_length: tuple[float, float] = (0.003, 0.02)
    """... and its length, as a share of the picture's width."""
    noise: tuple[float, float] = (0.002, 0.02)
    """Standard deviation at mid-grey, as a share of white."""
    contrast: tuple[float, float] = (0.9, 1.35)
    """Slope of the tone curve at mid-grey."""
    saturation: tuple[float, float] = (0.65, 1.1)
    """Factor on the distance of each colour from grey."""
    sharpening: tuple[float, float] = (0.2, 1.2)
    """Strength of the camera's unsharp mask."""
    jpeg: float = 0.7
    """Share of frames that show the traces of JPEG compression ..."""
    jpeg_quality: tuple[int, int] = (45, 92)
    """... and its quality, 1 to 100 on the Independent JPEG Group's scale."""

    def __post_init__(self) -> None:
        pairs = {name: value for name, value in vars(self).items() if isinstance(value, tuple)}
        ordered(**pairs)
        for name, (low, _) in pairs.items():
            if low < 0 and name not in ("exposure", "white_balance"):
                raise ValueError(f"{name} must not be below 0")
        if self.contrast[0] == 0 or max(map(abs, self.white_balance)) > 0.5:
            raise ValueError("contrast must be above 0 and white_balance lie in -0.5..0.5")
        shares(
            defocus=self.defocus,
            motion_blur=self.motion_blur,
            jpeg=self.jpeg,
            vignetting=self.vignetting,
            glare=self.glare,
            neutral=self.neutral,
        )
        highest = {"haze": 0.2, "aberration": 0.05, "defocus_radius": 0.02, "motion_length": 0.1}
        for name, top in highest.items():
            if pairs[name][1] > top:
                raise ValueError(f"{name} must lie in 0..{top}")
        if self.jpeg_quality[0] < 1 or self.jpeg_quality[1] > 100:
            raise ValueError("jpeg_quality must lie in 1..100")
