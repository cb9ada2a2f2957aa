"""A scene description as a frame on disk: Blender scene, render passes, masks, records. Needs bpy."""
