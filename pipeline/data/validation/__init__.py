"""Rules that a COCO instances file must keep, and the fixes of what breaks them."""
