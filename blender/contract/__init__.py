"""The interface between the renderer and the pipeline: profiles, files, frame records.

Standard library only, because Blender's Python and the pipeline's Python both import it.

One split is one folder::

    images/000042.png    RGB, 8 bits per channel
    masks/000042.png     16-bit grey; a pixel is the instance's id, 0 for background and unlabelled objects
    frames/000042.json   the frame's record, written last: a frame exists if its record exists
                         and the hashes in it match the files
    manifest.json        schema, categories, profile, Blender's version, one hash per frame

and the optional arrays of the profile's ``render.passes`` (numpy files, top row first)::

    depth/000042.npy     (H, W) float32, metres along the pixel's ray; 0 where the ray meets nothing
    normals/000042.npy   (H, W, 3) float16, unit normals of the faces, turned to the camera, in the camera's
                         frame: x right, y down, z ahead; 0 where the ray meets nothing
    light/000042.npy     (H, W, 3) float16, linear RGB before the sensor model

The folder is a ``Path``; if the frames are in an object store, a ``UPath`` of fsspec (see ``split_folder``).
"""

from blender.contract.errors import UserError, exit_on_user_error
from blender.contract.files import (
    canonical_json,
    open_atomic,
    remove_fragments,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from blender.contract.messages import list_names, print_note, print_warning
from blender.contract.profiles import (
    ProfileHeader,
    find_profile,
    load_profile,
    merge_tables,
    move_model_files,
    read_tables,
    read_toml,
)
from blender.contract.records import (
    ARRAYS,
    KEYPOINTS,
    SCHEMA_VERSION,
    Box3d,
    Clip,
    FrameRecord,
    Instance,
    Manifest,
    RunLengths,
    read_manifest,
    read_record,
)
from blender.contract.split import (
    array_path,
    commit_frame,
    frame_is_complete,
    frame_paths,
    remove_frame,
    split_folder,
)
from blender.contract.table_reader import from_table
from blender.contract.temporary import TEMPORARY_PREFIX, explain_temporary_errors, temporary_root

__all__ = [
    "ARRAYS",
    "KEYPOINTS",
    "SCHEMA_VERSION",
    "TEMPORARY_PREFIX",
    "Box3d",
    "Clip",
    "FrameRecord",
    "Instance",
    "Manifest",
    "ProfileHeader",
    "RunLengths",
    "UserError",
    "array_path",
    "canonical_json",
    "commit_frame",
    "exit_on_user_error",
    "explain_temporary_errors",
    "find_profile",
    "frame_is_complete",
    "frame_paths",
    "from_table",
    "list_names",
    "load_profile",
    "merge_tables",
    "move_model_files",
    "open_atomic",
    "print_note",
    "print_warning",
    "read_manifest",
    "read_record",
    "read_tables",
    "read_toml",
    "remove_fragments",
    "remove_frame",
    "sha256_bytes",
    "sha256_file",
    "split_folder",
    "temporary_root",
    "write_atomic",
]
