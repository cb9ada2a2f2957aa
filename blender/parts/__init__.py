"""Meshes that several kinds of objects share: loads, wheels, labels, floor markings, doors, soft bodies.

Each function returns numpy meshes (``blender.geometry.mesh.Part``); none needs bpy.
"""
