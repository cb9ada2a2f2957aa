"""Read, write, validate, combine and convert COCO annotations and their images.

A rendered split becomes COCO in ``convert``; other packages load COCO files by ``validation.check`` or
``combine``, which validate each file once.
"""
