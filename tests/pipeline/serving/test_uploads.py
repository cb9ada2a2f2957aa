"""Which uploads the page accepts, and what it says about the others."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from blender.contract import UserError
from pipeline.serving.service import Service
from pipeline.serving.uploads import MAX_BYTES, check_upload
from tests.pipeline.serving.conftest import write_picture, write_video


def write_png_header(path: Path, width: int, height: int) -> Path:
    """Write a PNG file of a size without its pixels, as somebody might to exhaust the memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


def test_pictures_and_videos_are_known_by_their_content(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "p.png").rename(tmp_path / "p.txt")
    video = write_video(tmp_path / "v.mp4", 3).rename(tmp_path / "v")
    assert check_upload(picture) is False and check_upload(video) is True


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", b"<script>alert(1)</script>"),
        ("empty.jpg", b""),
        ("notes.txt", b"a text, not a picture " * 99),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("archive.zip", b"PK\x03\x04" + bytes(99)),
        ("half.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(40)),
    ],
)
def test_other_files_are_refused_in_one_line(
    service: Service, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        service.analyse(tmp_path / name)
    assert str(refused.value) == f"{name}: neither a picture nor a video that can be read"


def test_a_damaged_picture_is_named_without_its_folder(service: Service, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "cut.jpg", (400, 300))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UserError) as refused:
        service.analyse(path)
    text = str(refused.value)
    assert text.startswith("cut.jpg: not a readable image") and str(tmp_path) not in text and "\n" not in text


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = write_png_header(tmp_path / "wall.png", 10_000, 6_000)
    with pytest.raises(UserError, match=r"^wall\.png: 10000x6000 pixels; at most 50 megapixels"):
        check_upload(path)


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match=r"^long\.mp4: 200 MB; at most 200 MB"):
        check_upload(path)


def test_an_heic_picture_gets_advice(tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(40))
    with pytest.raises(UserError, match=r"^phone\.heic: HEIC; install pillow-heif or export as JPEG$"):
        check_upload(path)
