"""Posed body meshes of adults, made with the parametric body model anny.

``bake`` is the command: it applies the pose to each mesh once and stores the result ("baking"), so that the
renderer needs neither anny nor torch.
"""
