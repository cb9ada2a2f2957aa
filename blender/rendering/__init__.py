"""Render a scene description to the files of a frame: bpy scene, render passes, masks, instance records.

Most modules here need bpy.
"""
