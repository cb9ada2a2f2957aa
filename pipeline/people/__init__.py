"""Posed body meshes of adults, made with the parametric body model anny.

``bake`` is the command: it stores the posed meshes in files, so that the renderer needs neither anny nor
torch.
"""
