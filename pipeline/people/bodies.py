"""Sample bodies from anny's population statistics, and pose them with inverse kinematics for the hands.

anny and torch are imported inside functions for start-up time: they take seconds, and ``transpalette people``
must not wait for them if the bodies are up to date.
"""

from __future__ import annotations

import functools
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blender.contract import KEYPOINTS, UserError
from pipeline.people.poses import Pose

if TYPE_CHECKING:
    import torch
    from anny import Anny

REGIONS = ("head", "hair", "neck", "torso", "hips", "upper_arm", "forearm", "hand", "thigh", "shin", "foot")
"""Names of the body parts; ``regions`` arrays contain indices of them."""

SET_FOLDER = "set HOME or ANNY_CACHE_DIR to a folder that can be written"

_BONES = {
    "head": "head",
    "eye": "head",
    "neck": "neck",
    "spine": "torso",
    "clavicle": "torso",
    "shoulder": "torso",
    "root": "hips",
    "pelvis": "hips",
    "upperarm": "upper_arm",
    "lowerarm": "forearm",
    "wrist": "hand",
    "finger": "hand",
    "metacarpal": "hand",
    "upperleg": "thigh",
    "lowerleg": "shin",
    "foot": "foot",
    "toe": "foot",
}
"""Prefix of a bone's name -> body part."""

_ARM_BONES = ("upperarm01.L", "upperarm01.R", "wrist.L", "wrist.R")

HAND_BEHIND = 0.15
"""Distance in metres behind the body's axis from which a hand counts as pulling a handle."""
IK_STEPS, IK_LEARNING_RATE = 150, 0.06
"""Number of steps and learning rate of Adam for the arms."""
IK_DAMPING = 2e-4
"""Weight of the squared shoulder rotation (radians), so that the arm does not twist."""


@functools.cache
def load_body_model() -> tuple[Anny, np.ndarray]:
    """Load anny's body model, once per process.

    Returns:
        The model, and the body part of each of its triangles (F,) uint8, an index into ``REGIONS``.

    Raises:
        UserError: anny is not installed, or there is no folder for the model that it prepares.
    """
    folder = cache_dir()
    # anny asks for the home folder on import, also if ANNY_CACHE_DIR makes that unnecessary.
    os.environ.setdefault("HOME", str(folder))
    try:
        import anny

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Unlike the default, "lbs" (linear blend skinning) does not compile a kernel at first use.
            model = anny.Anny(skinning_method="lbs")
    except ImportError:
        raise UserError("the package 'anny' is missing; run `make setup`") from None
    except OSError as error:
        raise UserError(
            f"{folder}: anny cannot keep its body model there ({error.strerror or error}); {SET_FOLDER}"
        ) from None
    return model, _regions(model)


def cache_dir() -> Path:
    """Return the folder in which anny keeps its prepared body model; it may be missing.

    Raises:
        UserError: neither ANNY_CACHE_DIR nor a home folder says where.
    """
    try:
        return Path(os.environ.get("ANNY_CACHE_DIR") or Path.home() / ".cache" / "anny")
    except RuntimeError:
        raise UserError(f"no home folder, in which anny keeps its body model; {SET_FOLDER}") from None


def sample_phenotype(
    model: Anny, age: tuple[float, float], women: float, rng: np.random.Generator
) -> dict[str, float]:
    """Sample a body from anny's population statistics.

    Args:
        model: anny's body model.
        age: range of the age in years.
        women: share of women, 0 to 1.
        rng: generator of the random numbers.

    Returns:
        anny's phenotype parameters (age, gender, height, weight, ...).
    """
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    woman = rng.random() < women
    low, high = (0.8, 1.0) if woman else (0.0, 0.2)
    kind = {"dtype": model.dtype}
    distribution = SimpleShapeDistribution(
        model,
        torch.distributions.Uniform(torch.tensor(age[0], **kind), torch.tensor(age[1], **kind)),
        torch.distributions.Uniform(torch.tensor(low, **kind), torch.tensor(high, **kind)),
    )
    with torch.random.fork_rng(devices=[]):  # anny samples from torch's global generator
        torch.manual_seed(int(rng.integers(2**63)))
        _, values = distribution.sample(1)
    return {key: float(value) for key, value in values.items()}


def pose_body(
    model: Anny, phenotype: dict[str, float], pose: Pose, regions: np.ndarray
) -> dict[str, np.ndarray]:
    """Pose a body.

    Args:
        model: anny's body model.
        phenotype: anny's phenotype parameters.
        pose: the pose.
        regions: body part of each triangle, from ``load_body_model``.

    Returns:
        The arrays of a file, as listed in ``pipeline.people.bake``.
    """
    import anny
    import torch

    joints = _solve_arms(model, phenotype, pose)
    with torch.no_grad():
        body = model(
            pose_parameters=_pose_tensor(model, joints),
            phenotype_kwargs={k: torch.tensor([v]) for k, v in phenotype.items()},
        )
        points = anny.KeypointsRegressor.coco(model, list(KEYPOINTS))(body)[0].numpy()
    vertices = body["vertices"][0].numpy()
    floor = vertices[:, 2].min()
    rest = body["rest_vertices"][0].numpy()
    wrists = points[9:11] - [0, 0, floor]
    behind = wrists[:, 1] > HAND_BEHIND
    holding = wrists[behind] if pose.hands[0] and behind.any() else wrists

    def to_file_axes(points: np.ndarray, ground: float) -> np.ndarray:
        """Rotate from anny's axes (facing -y) to the file's (facing +x), and round off machine
        differences."""
        turned = np.stack([-points[:, 1], points[:, 0], points[:, 2] - ground], 1)
        return np.round(turned, 5).astype(np.float32)

    return {
        "vertices": to_file_axes(vertices, floor),
        "rest": to_file_axes(rest, rest[:, 2].min()),
        "faces": model.get_triangular_faces().numpy().astype(np.int32),
        "regions": regions,
        "keypoints": to_file_axes(points, floor),
        "grip": to_file_axes(holding.mean(0)[None], 0.0)[0],
    }


def _pose_tensor(model: Anny, joints: dict[str, torch.Tensor]) -> torch.Tensor:
    """Convert rotation vectors (radians) by bone to anny's pose: matrices (1, bones, 4, 4)."""
    import roma
    import torch

    matrix = torch.eye(4, dtype=model.dtype).repeat(model.bone_count, 1, 1)
    if joints:
        index = torch.tensor([model.bone_labels.index(name) for name in joints])
        rotations = roma.rotvec_to_rotmat(torch.stack(list(joints.values())))
        top = torch.cat([rotations, torch.zeros(len(joints), 3, 1, dtype=model.dtype)], 2)
        bottom = torch.tensor([0.0, 0, 0, 1], dtype=model.dtype).expand(len(joints), 1, 4)
        matrix = matrix.index_copy(0, index, torch.cat([top, bottom], 1))
    return matrix[None]


def _solve_arms(model: Anny, phenotype: dict[str, float], pose: Pose) -> dict[str, torch.Tensor]:
    """Rotate shoulders and elbows by inverse kinematics so that the wrists reach the pose's targets.

    Damped least squares, minimized by Adam from the rest pose. The variables of an arm are a rotation vector
    at the shoulder and an angle at the elbow, which bends about its own axis only.

    Returns:
        Rotation vectors (radians) by bone, those of the pose included.
    """
    import torch

    joints = {k: torch.deg2rad(torch.tensor(v, dtype=model.dtype)) for k, v in pose.joints.items()}
    sides = [(s, h) for s, h in zip("LR", pose.hands, strict=True) if h is not None]
    if not sides:
        return joints
    coefficients = model._get_phenotype_blendshape_coefficients(
        *model.get_tensor_inputs(None, {k: torch.tensor([v]) for k, v in phenotype.items()}, None, None)[1:]
    )
    rest = model.get_rest_model(coefficients)["rest_bone_poses"].detach()
    at = {name: rest[0, model.bone_labels.index(name), :3, 3] for name in model.bone_labels}
    arm = {
        s: (at[f"lowerarm01.{s}"] - at[f"upperarm01.{s}"], at[f"wrist.{s}"] - at[f"lowerarm01.{s}"])
        for s, _ in sides
    }
    hinge = {s: torch.nn.functional.normalize(torch.linalg.cross(*arm[s]), dim=0) for s in arm}
    shoulder = {s: torch.zeros(3, dtype=model.dtype, requires_grad=True) for s, _ in sides}
    elbow = {s: torch.zeros(1, dtype=model.dtype, requires_grad=True) for s, _ in sides}
    optimizer = torch.optim.Adam([*shoulder.values(), *elbow.values()], lr=IK_LEARNING_RATE)

    def current_joints() -> dict[str, torch.Tensor]:
        # A sigmoid limits the elbow to -0.65..1.75 radians; it is nearly 0 at the start.
        bend = {s: (torch.sigmoid(elbow[s] - 1.0) - 0.27) * 2.4 for s in elbow}
        return {
            **joints,
            **{f"upperarm01.{s}": shoulder[s] for s in shoulder},
            **{f"lowerarm01.{s}": hinge[s] * bend[s] for s in bend},
        }

    for _ in range(IK_STEPS):
        _, poses = model.get_bone_transforms(_pose_tensor(model, current_joints()), rest)
        position = {name: poses[0, model.bone_labels.index(name), :3, 3] for name in _ARM_BONES}
        middle = (position["upperarm01.L"] + position["upperarm01.R"]) / 2
        loss = torch.zeros((), dtype=model.dtype)
        for side, hand in sides:
            length = arm[side][0].norm() + arm[side][1].norm()
            target = middle + torch.tensor(hand, dtype=model.dtype) * length
            loss = loss + ((position[f"wrist.{side}"] - target) / length).square().sum()
            loss = loss + IK_DAMPING * shoulder[side].square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.detach() for name, value in current_joints().items()}


def _regions(model: Anny) -> np.ndarray:
    """Compute the body part of each triangle (F,) uint8, by the bone with the highest skinning weight.

    The top and the back of the head are hair.
    """
    strongest = model.vertex_bone_indices[
        np.arange(len(model.vertex_bone_indices)), model.vertex_bone_weights.argmax(1)
    ].numpy()
    by_bone = [
        next(REGIONS.index(region) for prefix, region in _BONES.items() if label.startswith(prefix))
        for label in model.bone_labels
    ]
    by_vertex = np.array(by_bone)[strongest]
    faces = model.get_triangular_faces().numpy()
    votes = np.sort(by_vertex[faces], axis=1)
    regions = votes[:, 1].astype(np.uint8)  # the median is the majority when two of three agree
    centre = model.template_vertices.numpy()[faces].mean(1)
    head = regions == REGIONS.index("head")
    low, high = centre[head, 2].min(), centre[head, 2].max()
    front, back = centre[head, 1].min(), centre[head, 1].max()
    height, depth = (centre[:, 2] - low) / (high - low), (centre[:, 1] - front) / (back - front)
    scalp = (height > 0.80 - 0.1 * depth) | ((depth > 0.60) & (height > 0.35))
    regions[head & scalp] = REGIONS.index("hair")
    return regions
