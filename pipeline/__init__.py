"""People, COCO, training, evaluation, reports. Everything but rendering; never imports bpy."""
