"""The SceneSampler: the generator, the configuration and the assets that every draw of a scene needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from blender import sampling
from blender.assets import Assets
from blender.config.profile import Config, SceneConfig
from blender.kinds import AttachmentContext, KindTable, ObjectGroup, find_kind
from blender.spec import Footprint, ObjectSpec, Params


@dataclass(frozen=True)
class SceneSampler:
    """Draws from a profile's ranges with one frame's generator.

    The order of the draws is part of a frame's definition: another order gives other scenes.
    """

    config: Config
    rng: np.random.Generator
    assets: Assets

    @property
    def scene(self) -> SceneConfig:
        """Return the profile's [scene]."""
        return self.config.scene

    @cached_property
    def first_tables(self) -> dict[str, KindTable]:
        """Return the profile's first table of each kind: kind name -> table."""
        tables: dict[str, KindTable] = {}
        for key, table in self.scene.objects.items():
            tables.setdefault(table.builder, KindTable(self.config.ranges[key], table.category))
        return tables

    def uniform(self, span: tuple[float, float]) -> float:
        """Draw a float between two bounds, rounded to four decimals."""
        return sampling.uniform(span, self.rng)

    def integer(self, span: tuple[int, int]) -> int:
        """Draw an int between two bounds, both included."""
        return sampling.integer(span, self.rng)

    def chance(self, probability: float) -> bool:
        """Draw True with the given probability."""
        return sampling.chance(probability, self.rng)

    def pick(self, weights: Mapping[str, float]) -> str:
        """Draw one of the keys by weight."""
        return sampling.pick(weights, self.rng)

    def seed(self) -> int:
        """Draw a seed for an object's own random details."""
        return sampling.draw_seed(self.rng)

    def params(self, kind: str, table: str = "") -> Params:
        """Draw the parameters of an object.

        Args:
            kind: name of the object's kind.
            table: key of the ranges in ``Config.ranges``; empty: the kind's name.
        """
        return find_kind(kind).sample(self.config.ranges[table or kind], self.rng, self.assets)

    def footprint(self, item: ObjectSpec) -> Footprint:
        """Return an object's footprint in its own frame."""
        return find_kind(item.builder).footprint(item.params, self.assets)

    def height(self, item: ObjectSpec) -> float:
        """Return a height that an object does not exceed, metres above its origin."""
        return find_kind(item.builder).height(item.params, self.assets)

    def attach(self, item: ObjectSpec, table: str, allow_labelled: bool) -> ObjectGroup:
        """Draw the objects that are attached to an object of the profile's table ``table``."""
        context = AttachmentContext(
            rng=self.rng,
            assets=self.assets,
            ranges=self.config.ranges[table],
            shares=self.scene,
            common_ranges=self.config.ranges,
            first_tables=self.first_tables,
            allow_labelled=allow_labelled,
        )
        return find_kind(item.builder).attach(item, context)
