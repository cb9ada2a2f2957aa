"""The pipeline's half of a profile, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from blender.contract import ProfileHeader, from_table, load_profile
from pipeline.config.tables import CocoConfig, EvaluateConfig, ModelConfig, PeopleConfig
from pipeline.config.train import TrainConfig

P = TypeVar("P", bound=ProfileHeader)


@dataclass(frozen=True)
class Profile(ProfileHeader):
    """The keys of a profile that the pipeline reads, except [people]."""

    coco: CocoConfig = field(default_factory=CocoConfig)
    """Which objects are labelled."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The recipe of the fine-tuning."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """What evaluation computes and shows."""


@dataclass(frozen=True)
class PeopleProfile(ProfileHeader):
    """The keys of a profile that baking people needs."""

    people: PeopleConfig = field(default_factory=PeopleConfig)
    """The posed body meshes."""


@dataclass(frozen=True)
class _WholeProfile(Profile):
    people: PeopleConfig = field(default_factory=PeopleConfig)


def read_profile(path: Path) -> Profile:
    """Read the pipeline's tables of a profile; [people] is checked too.

    Raises:
        UserError: the file, a table, a key or a value is wrong.
    """
    whole = _read(_WholeProfile, path)
    return Profile(**{key.name: getattr(whole, key.name) for key in fields(Profile)})


def read_people(path: Path) -> PeopleProfile:
    """Read [people] and the top of a profile.

    Raises:
        UserError: the file, one of these keys or a value is wrong.
    """
    return _read(PeopleProfile, path)


def _read(cls: type[P], path: Path) -> P:
    known = {key.name for key in fields(cls)}
    return from_table(
        cls, {key: value for key, value in load_profile(path).items() if key in known}, str(path)
    )
