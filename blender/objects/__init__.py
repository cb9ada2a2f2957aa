"""Kinds of object, one module or package each.

A module offers four names; a profile's table names the module, and nothing else needs to know it::

    Ranges                        frozen dataclass: the profile's ranges, with meaning and unit
    sample(ranges, rng, assets)   draw one object's parameters, as JSON values
    build(params, assets)         its meshes, list[Part]: metres, z up, standing on z = 0
    footprint(params, assets)     (x from, x to, y from, y to) of the floor it needs

A kind that is read from files offers ``files(ranges)``, their paths relative to the profile, and
``mesh(params, assets)``, a bpy mesh, instead of ``build``.
"""
