"""Meshes that several kinds of objects share: loads, containers, rack steel, wheels, labels, soft bodies.

Each function returns numpy meshes (``blender.geometry.mesh.Part``); none needs bpy.
"""
