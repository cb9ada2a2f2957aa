"""Posed body meshes of adults, made with the parametric body model anny.

They are "baked": the pose is applied to the mesh once, so that the renderer needs neither anny nor torch.
"""
