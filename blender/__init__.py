"""Headless Blender: warehouse scenes with exact instance masks. Standard library, numpy and bpy only."""
