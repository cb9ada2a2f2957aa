"""Read and check the tables of a profile that the pipeline uses."""

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
    """The training recipe."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """The settings of evaluation and report."""


@dataclass(frozen=True)
class PeopleProfile(ProfileHeader):
    """The keys of a profile that the command ``people`` reads."""

    people: PeopleConfig = field(default_factory=PeopleConfig)
    """The posed body meshes."""


@dataclass(frozen=True)
class _ProfileWithPeople(Profile):
    people: PeopleConfig = field(default_factory=PeopleConfig)


def read_profile(path: Path) -> Profile:
    """Read the pipeline's tables of a profile. [people] is checked, too.

    Raises:
        UserError: the file cannot be read, or a table, a key or a value is wrong.
    """
    complete = _read(_ProfileWithPeople, path)
    return Profile(**{key.name: getattr(complete, key.name) for key in fields(Profile)})


def read_people(path: Path) -> PeopleProfile:
    """Read [people] and the top-level keys of a profile.

    Raises:
        UserError: the file cannot be read, or one of these keys or a value is wrong.
    """
    return _read(PeopleProfile, path)


def _read(cls: type[P], path: Path) -> P:
    known = {key.name for key in fields(cls)}
    return from_table(
        cls, {key: value for key, value in load_profile(path).items() if key in known}, str(path)
    )
