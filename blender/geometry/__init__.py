"""Geometry without a scene: numpy meshes, lens projections, and users' model files.

Only ``model_file`` needs bpy.
"""
