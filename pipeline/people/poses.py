"""Sample poses of adults at work: joint angles and hand targets for anny's skeleton.

The axes are those of the body at rest: x to its left, y to its back, z up. Angles are in degrees about these
axes, as rotation vectors in each bone's reference frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Joint angles and targets for the wrists."""

    joints: dict[str, Vector] = field(default_factory=dict)
    """Bone -> rotation vector in degrees; other bones do not rotate."""
    hands: tuple[Vector | None, Vector | None] = (None, None)
    """Targets of the left and the right wrist, relative to the middle between the shoulders, in arm lengths.

    None: no target; ``joints`` determine the arm.
    """
    seated: bool = False


def _both(name: str, angles: Vector) -> dict[str, Vector]:
    """Mirror a rotation of the left bone for the right bone: the angles about y and z change their sign."""
    x, y, z = angles
    return {f"{name}.L": (x, y, z), f"{name}.R": (x, -y, -z)}


def sample_pose(name: str, rng: np.random.Generator) -> Pose:
    """Sample a variation of a pose.

    Args:
        name: a key of ``POSES``.
        rng: generator of the random numbers.
    """
    return POSES[name](rng)


def _jitter(rng: np.random.Generator, sigma: float) -> float:
    """Draw a normal deviate, clipped at two standard deviations."""
    return float(np.clip(rng.normal(0, sigma), -2 * sigma, 2 * sigma))


def _head(rng: np.random.Generator, down: float = 0.0) -> dict[str, Vector]:
    """Sample the joint angles of neck and head, bent ``down`` degrees to the front."""
    return {
        "neck01": (down * 0.5 + _jitter(rng, 5), _jitter(rng, 3), _jitter(rng, 12)),
        "head": (down * 0.5 + _jitter(rng, 5), _jitter(rng, 3), _jitter(rng, 12)),
    }


def _stance(rng: np.random.Generator) -> dict[str, Vector]:
    """Sample the joint angles of legs and trunk of a standing body."""
    outwards = 3 + _jitter(rng, 3)
    return {
        **_both("upperleg01", (_jitter(rng, 3), -8 + outwards, 0)),
        "spine03": (_jitter(rng, 4), _jitter(rng, 3), _jitter(rng, 6)),
    }


def _hanging(rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Sample the hand targets of hanging arms."""
    out, forward = 0.32 + _jitter(rng, 0.05), -0.12 + _jitter(rng, 0.08)
    return (out, forward, -0.93), (-out, forward + _jitter(rng, 0.06), -0.93)


def _standing(rng: np.random.Generator) -> Pose:
    return Pose({**_stance(rng), **_head(rng)}, _hanging(rng))


def _walking(rng: np.random.Generator) -> Pose:
    stride = rng.uniform(14, 28) * rng.choice([-1, 1])
    front, back = ("L", "R") if stride > 0 else ("R", "L")
    stride = abs(stride)
    joints = {
        f"upperleg01.{front}": (-stride, 0.0, 0.0),
        f"lowerleg01.{front}": (rng.uniform(4, 12), 0.0, 0.0),
        f"upperleg01.{back}": (stride * 0.8, 0.0, 0.0),
        f"lowerleg01.{back}": (rng.uniform(12, 38), 0.0, 0.0),
        f"foot.{back}": (rng.uniform(5, 18), 0.0, 0.0),
        "spine03": (4 + _jitter(rng, 3), 0.0, _jitter(rng, 6)),
    }
    swing = stride / 70
    left = swing if front == "L" else -swing  # the left arm swings back (+y) with the left leg in front
    return Pose({**joints, **_head(rng)}, ((0.30, left - 0.10, -0.90), (-0.30, -left - 0.10, -0.90)))


def _gripping(rng: np.random.Generator) -> Pose:
    """Sample a person who pushes a truck: both hands on its handle, the trunk leaning forward."""
    lean = rng.uniform(4, 16)
    joints = {**_walking(rng).joints, "spine04": (lean, 0.0, 0.0), **_head(rng, 8)}
    down = rng.uniform(-0.72, -0.55)
    return Pose(joints, ((0.20, -0.62, down), (-0.20, -0.62, down)))


def _pulling(rng: np.random.Generator) -> Pose:
    """Sample a person who walks and pulls a truck: one hand behind the body, on its handle."""
    walk = _walking(rng)
    left, right = walk.hands
    behind = (0.36, 0.38, -0.78)
    hands = (behind, right) if rng.random() < 0.5 else (left, (-behind[0], behind[1], behind[2]))
    return Pose(walk.joints, hands)


def _carrying(rng: np.random.Generator) -> Pose:
    base = _walking(rng) if rng.random() < 0.5 else _standing(rng)
    height = rng.uniform(-0.60, -0.40)
    return Pose(base.joints, ((0.26, -0.66, height), (-0.26, -0.66, height)))


def _scanning(rng: np.random.Generator) -> Pose:
    """Sample a person with a scanner in one hand, the head bent towards it."""
    side = 1 if rng.random() < 0.5 else -1
    active: Vector = (side * 0.10, -0.62, rng.uniform(-0.35, -0.15))
    left, right = _hanging(rng)
    hands = (active, right) if side > 0 else (left, active)
    return Pose({**_stance(rng), **_head(rng, 26)}, hands)


def _reaching(rng: np.random.Generator) -> Pose:
    height = rng.uniform(-0.1, 0.45)
    right_height = rng.uniform(-0.5, 0.2)
    joints = {**_stance(rng), "spine03": (rng.uniform(-2, 14), 0.0, _jitter(rng, 12)), **_head(rng, -8)}
    return Pose(joints, ((0.22, -0.82, height), (-0.22, -0.75, right_height)))


def _crouching(rng: np.random.Generator) -> Pose:
    bend = rng.uniform(0.75, 1.0)
    joints = {
        **_both("upperleg01", (-95 * bend, -12, 0)),
        **_both("lowerleg01", (125 * bend, 0, 0)),
        **_both("foot", (-28 * bend, 0, 0)),
        "spine04": (24 * bend, 0.0, 0.0),
        **_head(rng, 10),
    }
    return Pose(joints, ((0.20, -0.68, -0.42), (-0.22, -0.60, -0.50)))


def _sitting(rng: np.random.Generator) -> Pose:
    joints = {
        **_both("upperleg01", (-86 + _jitter(rng, 4), -6, 0)),
        **_both("lowerleg01", (82 + _jitter(rng, 6), 0, 0)),
        "spine04": (6 + _jitter(rng, 4), 0.0, 0.0),
        **_head(rng),
    }
    return Pose(joints, ((0.24, -0.62, -0.45), (-0.24, -0.60, -0.50)), seated=True)


POSES = {
    "standing": _standing,
    "walking": _walking,
    "pushing": _gripping,
    "pulling": _pulling,
    "carrying": _carrying,
    "scanning": _scanning,
    "reaching": _reaching,
    "crouching": _crouching,
    "sitting": _sitting,
}
"""Name of a pose in the profile -> function that samples it."""
