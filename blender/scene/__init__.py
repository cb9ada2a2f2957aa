"""Draw a scene description: layouts, placement, camera and lamps. No bpy."""
