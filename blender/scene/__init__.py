"""Draw a frame's scene as a pure description: hall, layout, objects, camera, lamps. No bpy.

``scene.sample_scene`` is the entry point. ``sampler.SceneSampler`` holds the generator, the configuration and
the assets.
"""
