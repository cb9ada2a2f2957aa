"""Convert linear light to image files: sensor model, JPEG compression, PNG encoding. Numpy only, no bpy."""
