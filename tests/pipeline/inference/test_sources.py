"""Which files of the user's folders and patterns are predicted, and what is said about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender.contract import UserError
from pipeline.inference.drawings import name_drawings
from pipeline.inference.sources import Source, find_images, find_sources
from tests.pipeline.inference.commands import encode_video, predict, read_results, write_image


def names(*paths: Path) -> list[str]:
    return [source.path.name for source in find_sources(paths).sources]


@pytest.mark.parametrize(
    "name", ["a.jfif", "a.JPE", "a.avif", "a.jp2", "a.apng", "a.tga", "a.qoi", "a.pbm", "a.DIB"]
)
def test_folder_takes_all_endings_of_images(tmp_path: Path, name: str) -> None:
    form = {"apng": "PNG", "jpe": "JPEG", "jfif": "JPEG"}.get(Path(name).suffix[1:].lower())
    write_image(tmp_path / name, "1" if name == "a.pbm" else "RGB", format=form)
    assert names(tmp_path) == [name]


def test_images_without_an_ending_are_recognised_in_folders(tmp_path: Path) -> None:
    write_image(tmp_path / "IMG_0001", format="JPEG")
    write_image(tmp_path / "download.1", format="PNG")
    (tmp_path / "README").write_text("a text")
    assert names(tmp_path) == ["IMG_0001", "download.1"]
    assert find_sources((tmp_path,)).describe_left_out() == "1 file without extension"


def test_what_a_folder_leaves_out_is_named_with_counts(quick_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_image(folder / "a.png")
    for name in ("b.HEIC", "c.heif", "d.heic", "e.dng", "f.mp4", "g.3gp", "h.txt", ".DS_Store", "._a.png"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / "dead.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "more").mkdir()
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert (
        "note: left out: 2 .heic (install pillow-heif or export as JPEG), 2 dead links, "
        "1 .3gp (give by name), 1 .dng (export as JPEG), "
        "1 .heif (install pillow-heif or export as JPEG), 1 .mp4 (give by name), "
        "1 .txt, 1 folder (give 'FOLDER/**')"
    ) in run.output
    assert "in 1 of 1 images" in run.output


def test_folder_without_an_image_says_what_it_has(tmp_path: Path) -> None:
    encode_video(tmp_path / "a.mp4", "libx264", "yuv420p", frames=1)
    (tmp_path / "b.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"no image in this folder .*; it has 1 \.heic .*, 1 \.mp4 \(give"):
        find_sources((tmp_path,))


def test_patterns_name_what_they_leave_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    encode_video(tmp_path / "b.mp4", "libx264", "yuv420p", frames=1)
    (tmp_path / "c.heic").write_bytes(b"")
    (tmp_path / "dead.jpg").symlink_to("nowhere")
    found = find_sources((tmp_path / "*",))
    assert [source.is_video for source in found.sources] == [False, True]
    assert dict(found.left_out) == {".heic": 1, "dead link": 1}


def test_dead_link_given_by_name_is_an_error(tmp_path: Path) -> None:
    for target in ("nowhere", "dead.png"):
        (tmp_path / "dead.png").unlink(missing_ok=True)
        (tmp_path / "dead.png").symlink_to(target)
        with pytest.raises(UserError, match="a dead link"):
            find_sources((tmp_path / "dead.png",))


@pytest.mark.parametrize("url", ["https://example.com/a.jpg?w=1", "rtsp://cam/1", "file:///a/[1].png"])
def test_urls_are_named_as_such(url: str) -> None:
    with pytest.raises(UserError, match="a URL; download the file") as caught:
        find_sources((Path(url),))
    assert "://" in str(caught.value)


def test_brackets_in_names_are_found_by_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]"
    expected = [write_image(folder / name) for name in ("a [1].png", "b [1].png", "c1.png")]
    assert find_images((folder / "*.png",)) == expected
    assert find_images((folder / "? [1].png",)) == expected[:2]
    assert find_images((tmp_path / "*" / "?[1].png",)) == expected[2:]
    assert find_images((tmp_path / "photos [[]2024]" / "c*",)) == expected[2:]
    with pytest.raises(UserError, match="matches this pattern"):
        find_images((folder / "[xyz].png",))


def test_equal_names_of_two_folders_stay_apart_in_the_results(quick_model: Path, tmp_path: Path) -> None:
    paths = [write_image(tmp_path / name) for name in ("x/1/a.png", "y/1/a.png", "y/2/a.png", "y/b.png")]
    assert predict(quick_model, *paths, out=tmp_path / "out").exit_code == 0
    pictures = {(r["file_name"], r["picture"]) for r in read_results(tmp_path / "out")}
    assert pictures == {
        ("x/1/a.png", "a.png"), ("y/1/a.png", "a-2.png"), ("2/a.png", "a-3.png"), ("b.png", "b.png"),
    }  # fmt: skip


def test_image_given_twice_is_predicted_once(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png")
    assert names(path, tmp_path, tmp_path / "*.png", tmp_path / "." / "a.png") == ["a.png", "b.png"]


def test_drawings_of_long_names_fit_into_the_file_system(tmp_path: Path) -> None:
    paths = [tmp_path / d / ("漢" * 84 + ".gi") for d in "xyz"] + [tmp_path / ("L" * 252 + ".ts")]
    sources = [Source(path, path.suffix == ".ts", path.name) for path in paths]
    chosen = name_drawings(sources, tmp_path)
    assert len(set(chosen)) == 4
    for name in chosen:
        (tmp_path / name).write_bytes(b"")
