"""Images and COCO annotations: read, write, combine, convert to other formats."""
