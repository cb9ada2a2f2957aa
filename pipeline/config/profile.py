"""Read and check the tables of a profile that the pipeline uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from blender.contract import ProfileHeader, UserError, read_tables
from blender.contract.table_reader import try_from_table
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


def check_profile(path: Path, splits: Sequence[str] = ()) -> list[str]:
    """Return a line for each problem of the tables that the pipeline reads.

    Args:
        path: the profile.
        splits: splits that the run needs.
    """
    problems: list[str] = []
    try:
        table, _ = read_tables(path)
        named = table.get("splits")
        if isinstance(named, dict):
            known = ", ".join(named)
            problems = [f"{path}: no split '{n}'; known: {known}" for n in splits if n not in named]
        read_profile(path)
    except UserError as error:
        problems += str(error).splitlines()
    return problems


def read_people(path: Path) -> PeopleProfile:
    """Read [people] and the top-level keys of a profile.

    Raises:
        UserError: the file cannot be read, or one of these keys or a value is wrong.
    """
    return _read(PeopleProfile, path)


def _read(cls: type[P], path: Path) -> P:
    table, problems = read_tables(path)
    known = {key.name for key in fields(cls)}
    used = {key: value for key, value in table.items() if key in known}
    profile = try_from_table(cls, used, str(path), "", problems)
    if profile is None or problems:
        raise UserError("\n".join(problems))
    return profile
