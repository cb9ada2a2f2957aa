"""Meshes that several kinds share: loads, wheels, labels, floor markings, doors and windows, soft bodies.

Each function returns numpy meshes (``blender.geometry.mesh.Part``); none needs bpy.
"""
