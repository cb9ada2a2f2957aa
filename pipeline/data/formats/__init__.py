"""COCO splits in the formats of other tools (command ``convert``): one module per format.

``registry`` has the interface of a format, ``write`` the command.
"""

from pipeline.data.formats import coco_polygons, imagefolder, yolo_seg  # noqa: F401  registers the formats
from pipeline.data.formats.registry import FORMATS, FORMATS_VERSION, CocoSet, ExportOptions

__all__ = ["FORMATS", "FORMATS_VERSION", "CocoSet", "ExportOptions"]
