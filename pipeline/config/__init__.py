"""The pipeline's tables of a profile as frozen dataclasses: [people], [coco], [model], [train], [evaluate].

A field's annotation gives its limits, its docstring the meaning; ``read_profile`` reads and checks them.
"""

from blender.contract import UserError
from pipeline.config.profile import Profile, check_profile, read_people, read_profile
from pipeline.config.tables import CocoConfig, EvaluateConfig, ModelConfig, PeopleConfig
from pipeline.config.train import DETECTOR_STARTS, PARTS, ExifReading, ExtraSet, TrainConfig

__all__ = [
    "DETECTOR_STARTS",
    "PARTS",
    "CocoConfig",
    "EvaluateConfig",
    "ExifReading",
    "ExtraSet",
    "ModelConfig",
    "PeopleConfig",
    "Profile",
    "TrainConfig",
    "UserError",
    "check_profile",
    "read_people",
    "read_profile",
]
