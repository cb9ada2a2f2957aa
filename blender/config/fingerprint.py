"""The tables that a fingerprint hashes: keys that came later do not count while they are off."""

from __future__ import annotations

from typing import Any


def hashed_tables(render: dict[str, Any], scene: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return [render] and [scene] as older versions, without the newer keys, had them.

    So the frames of a profile that does not use a new key stay valid.

    Args:
        render: [render] as nested tables; it may be changed.
        scene: [scene] as nested tables; it may be changed.
    """
    render["passes"] = sorted(set(render["passes"]))
    if not render["passes"]:
        del render["passes"]
    for table in scene["objects"].values():
        if table["frames"] == 1:
            del table["frames"]
    if not scene["clip"]["frames"]:
        del scene["clip"]
    return render, scene
