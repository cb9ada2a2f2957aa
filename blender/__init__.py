"""Describe warehouse scenes and render them with Blender, with exact instance masks.

Uses the standard library, numpy and bpy only.
"""
