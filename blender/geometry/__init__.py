"""Geometry of single objects and of the camera: numpy meshes, lens projections, users' model files.

Only ``model_file`` needs bpy.
"""
