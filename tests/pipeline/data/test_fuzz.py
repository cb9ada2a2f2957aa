"""What ``validate`` finds sound, every command accepts: mutated files are refused by it, or used by all."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blender.contract import UserError
from pipeline.data.validation.check import find_problems, load_validated_coco, repair
from tests.pipeline.data.test_optional_fields import described
from tests.pipeline.data.use_everywhere import use_everywhere, write_set

MUTATIONS = 2000
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2, 3, 0.5, 1.5, -7, 17, 2.0, 1e-320, 1e-9, -1e-300, 1e17, 1e300,
    -1e300, 1.7e308, math.inf, -math.inf, math.nan, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**100,
    10**400, "", " ", "x", "1", "1.5", "true", "$x_{$", "a\nb", "\x00", "\ud800", "é" * 300, "a.png", "sub",
    "../a.png", [], [[]], [0], [1, 2], [1, 2, 3], [None], ["a"], {}, {"a": 1}, {"size": [1, 1]},
    {"a": {"b": [math.nan]}},
)  # fmt: skip
"""What a value is replaced by."""
NAMES = (
    "score", "depth", "set", "size", "distance", "neighbours", "truncated", "visible fraction",
    "camera height", "box3d", "boxes3d", "amodal_segmentation", "layout", "license", "attributes", "area",
    "file_name",
)  # fmt: skip
"""Fields that are added to an entry."""


def containers(value: Any) -> list[Any]:
    """Every object and list in a JSON value that is not empty, from the outside in."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if inner else []), *(place for item in inner for place in containers(item))]


def keys(container: Any) -> list[Any]:
    return sorted(container) if isinstance(container, dict) else list(range(len(container)))


def replace(container: Any, key: Any, rng: random.Random) -> None:
    container[key] = copy.deepcopy(rng.choice(VALUES))


def drop(container: Any, key: Any, rng: random.Random) -> None:
    del container[key]


def reorder(container: Any, key: Any, rng: random.Random) -> None:
    if isinstance(container, list):
        rng.shuffle(container)
    else:
        for name in rng.sample(sorted(container), len(container)):
            container[name] = container.pop(name)


def scale(container: Any, key: Any, rng: random.Random) -> None:
    value = container[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        container[key] = value * rng.choice((-1, 0, 0.5, 2, 1e-12, 10**6, 10**30))


def retype(container: Any, key: Any, rng: random.Random) -> None:
    value = container[key]
    container[key] = rng.choice((str(value), [value], {"value": value}, bool(value)))


def add(container: Any, key: Any, rng: random.Random) -> None:
    if isinstance(container, dict):
        container[rng.choice(NAMES)] = copy.deepcopy(rng.choice(VALUES))
    else:
        container.append(copy.deepcopy(rng.choice((container[key], *VALUES))))


MUTATORS: tuple[Callable[[Any, Any, random.Random], None], ...] = (replace, drop, reorder, scale, retype, add)


def mutated(seed: int) -> Any:
    """Change a sound file in one to four places; entries of the lists are changed most often."""
    rng = random.Random(seed)
    dataset: Any = described()
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = containers(dataset)
        entries = [
            e for name in ("images", "annotations", "categories") for e in dataset.get(name) or () if e
        ]
        place = rng.choice(
            places if rng.random() < 0.4 else [e for e in entries if isinstance(e, dict)] or places
        )
        rng.choice(MUTATORS)(place, rng.choice(keys(place)), rng)
    return dataset


def check(folder: Path, seed: int, plots: bool = False) -> bool:
    """Use a mutated file everywhere if it is sound; return whether it is."""
    dataset = mutated(seed)
    write_set(folder, dataset)
    repair(dataset, folder / "images")
    if any(problem.severity == "error" for problem in find_problems(dataset, folder / "images")):
        if not any(problem.rule.startswith("file-") for problem in find_problems(dataset, folder / "images")):
            with pytest.raises(UserError):
                load_validated_coco(folder / "annotations.json")
        return False
    try:
        use_everywhere(folder, plots)
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise
    return True


def test_sound_files_are_used_by_every_command(tmp_path: Path) -> None:
    sound = [check(tmp_path, seed) for seed in range(80)]
    assert 20 < sum(sound) < 70


@pytest.mark.slow
@pytest.mark.filterwarnings("error", "ignore:Glyph")
def test_two_thousand_mutations_are_refused_by_validate_or_used_by_every_command(tmp_path: Path) -> None:
    sound = [check(tmp_path, seed, plots=seed % 100 == 0) for seed in range(MUTATIONS)]
    assert MUTATIONS / 4 < sum(sound) < MUTATIONS * 3 / 4
