"""From linear light to image files: the sensor model, JPEG and PNG in numpy. No bpy."""
