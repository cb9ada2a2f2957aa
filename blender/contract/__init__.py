"""What the renderer and the training pipeline agree on: profiles, files, frame records.

Standard library only, because it runs inside Blender's Python as well as beside torch.

A split lies in one folder::

    images/000042.png    RGB, 8 bits a channel
    masks/000042.png     16-bit grey; the pixel is the instance id, 0 = background or unlabelled
    frames/000042.json   the frame's record, written last: a frame exists iff its record
                         exists and the hashes in it match
    manifest.json        schema, categories, profile, Blender version, one hash per frame

and, for a profile that asks for them (numpy arrays, top row first)::

    depth/000042.npy     (H, W) float32, metres along the pixel's ray; 0 where it meets nothing
    normals/000042.npy   (H, W, 3) float16, unit normals of the faces, turned to the camera, in its
                         frame: x right, y down, z ahead; 0 where the ray meets nothing

The folder is a ``Path``, or a ``UPath`` of fsspec's (see ``split_folder``) where the frames lie in an
object store.
"""

from blender.contract.errors import UserError, mistakes_in_a_line
from blender.contract.files import (
    canonical_json,
    open_atomic,
    remove_fragments,
    sha256_bytes,
    sha256_file,
    write_atomic,
)
from blender.contract.profiles import PROFILE_KEYS, from_table, load_profile
from blender.contract.records import (
    ARRAYS,
    KEYPOINTS,
    SCHEMA_VERSION,
    Box3d,
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

__all__ = [
    "ARRAYS",
    "KEYPOINTS",
    "PROFILE_KEYS",
    "SCHEMA_VERSION",
    "Box3d",
    "FrameRecord",
    "Instance",
    "Manifest",
    "RunLengths",
    "UserError",
    "array_path",
    "canonical_json",
    "commit_frame",
    "frame_is_complete",
    "frame_paths",
    "from_table",
    "load_profile",
    "mistakes_in_a_line",
    "open_atomic",
    "read_manifest",
    "read_record",
    "remove_fragments",
    "remove_frame",
    "sha256_bytes",
    "sha256_file",
    "split_folder",
    "write_atomic",
]
