"""The interface of object kinds and their registry."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import numpy as np
import pytest

from blender import kinds
from blender.contract import UserError
from blender.geometry.mesh import Material, box
from blender.kinds import ObjectGroup, ObjectKind, Parking, find_kind, kind_names
from blender.spec import ObjectSpec
from tests.helpers.assets import NO_ASSETS


def crate_module() -> ModuleType:
    """Return a module with the required functions only."""
    module = ModuleType("crate")
    module.Ranges = dict  # type: ignore[attr-defined]
    module.sample = lambda ranges, rng, assets: {"size": 1.0}  # type: ignore[attr-defined]
    module.footprint = lambda params, assets: (-0.5, 0.5, -0.5, 0.5)  # type: ignore[attr-defined]
    module.build = lambda params, assets: [box((0, 0, 0), (1, 1, 2), Material("wood"))]  # type: ignore[attr-defined]
    return module


def test_every_module_of_the_folder_is_a_kind() -> None:
    assert {"pallet_truck", "pedestrian", "hall", "rack", "model"} <= set(kind_names())
    for name in kind_names():
        assert find_kind(name) is find_kind(name)


def test_unknown_kind_is_an_error_that_lists_the_known_kinds() -> None:
    with pytest.raises(UserError, match=r"unknown kind of object 'hover'; known: cage, carried, .*trolley"):
        find_kind("hover")


@pytest.mark.parametrize("name", kind_names())
def test_functions_of_every_kind_have_the_parameters_of_the_interface(name: str) -> None:
    module = importlib.import_module(f"blender.objects.{name}")
    for member in ("sample", "footprint", *kinds.OPTIONAL):
        if hasattr(module, member):
            expected = list(inspect.signature(getattr(ObjectKind, member)).parameters)[1:]
            required = [
                p.name
                for p in inspect.signature(getattr(module, member)).parameters.values()
                if p.default is p.empty
            ]
            assert len(required) == len(expected), (name, member, required)


def test_kind_with_the_required_functions_gets_the_defaults() -> None:
    crate = kinds._ModuleKind("crate", crate_module())  # type: ignore[abstract]
    item = ObjectSpec("crate", crate.sample({}, np.random.default_rng(0), NO_ASSETS))
    assert crate.height(item.params, NO_ASSETS) == 2.0, "measured on its meshes"
    assert crate.files({}) == () and crate.mesh(item.params, NO_ASSETS) is None
    assert crate.keypoints(item.params, NO_ASSETS) is None
    assert crate.attach(item, None) == ObjectGroup((item,))  # type: ignore[arg-type]
    assert crate.parking(item.params) == Parking() and crate.rack_insertion(item.params) is None


@pytest.mark.parametrize("missing", ["Ranges", "sample", "footprint", "build"])
def test_kind_without_a_required_function_is_an_error_that_names_it(missing: str) -> None:
    module = crate_module()
    delattr(module, missing)
    with pytest.raises(UserError, match=f"blender/objects/crate defines no {missing}; see ObjectKind"):
        kinds._ModuleKind("crate", module)  # type: ignore[abstract]


def test_kind_with_a_mesh_needs_no_build() -> None:
    module = crate_module()
    del module.build
    module.mesh = lambda params, assets: "bpy mesh"  # type: ignore[attr-defined]
    assert kinds._ModuleKind("crate", module).mesh({}, NO_ASSETS) == "bpy mesh"  # type: ignore[abstract]
