"""The command ``predict``: detect objects in images, videos and camera frames, and draw them.

Results are written to their files image by image, so memory does not grow with their number.
"""

from __future__ import annotations

import copy
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from blender.contract import UserError, print_note
from pipeline.common.interrupts import defer_interrupts
from pipeline.common.stages import prepare_output_dir
from pipeline.inference.drawings import name_drawings
from pipeline.inference.frames import join_numbered_images, source_header
from pipeline.inference.prediction_run import PredictionRun, predict_source, predict_video
from pipeline.inference.resume import earlier_progress, hash_inputs, remove_progress, save_progress
from pipeline.inference.segmenter import load
from pipeline.inference.sources import Source, find_sources
from pipeline.inference.video import Frame, VideoHeader, read_camera
from pipeline.inference.writers import COLUMNS, RESULTS, TRACK_COLUMNS, open_results
from pipeline.metres import results as metre_fields
from pipeline.tracking.event_files import EVENTS, check_event_names, describe_events, write_events
from pipeline.tracking.events import EventRule
from pipeline.tracking.files import check_names, write_tracks
from pipeline.tracking.trackers import import_package
from pipeline.viz.overlays import readable


def predict_images(
    model_path: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None = None,
    camera: int | None = None,
    frames: int | None = None,
    classes: tuple[str, ...] = (),
    track: bool = False,
    metres: metre_fields.Metres | None = None,
    events: EventRule | None = None,
    frame_rate: float | None = None,
) -> None:
    """Detect the objects in ``images`` (see ``find_sources``), draw them, and write COCO results and a table.

    ``out`` gets a drawing per image, a drawn .mp4 per video, and predictions.json: COCO results that also
    have ``file_name``, ``picture`` (the drawing's name in ``out``) and ``category_name``; ``image_id`` counts
    from 1. Results of a video also have ``frame``, from 0, and ``seconds``. predictions.csv has the same
    without masks. With ``track``, results have ``track_id``, and tracks.json and tracks.csv are written (see
    ``pipeline.tracking.files``); with ``events``, also events.json and events.csv (``event_files``). What
    cannot be read or drawn is reported and skipped. After Ctrl-C or
    SIGTERM the results so far are kept, and a repeated call continues.

    Args:
        model_path: a checkpoint (model.safetensors), or an exported .onnx file.
        images: files, folders and patterns.
        out: the folder for the results.
        threshold: lowest score that is drawn and written; None: the model's threshold.
        camera: number of a camera to read until the user interrupts, or until ``frames`` are read.
        frames: largest number of frames of each video or camera; None: all.
        classes: the classes to detect; empty: all of the model.
        track: track the objects of videos and of the camera.
        metres: adds floor positions and distances; None: the camera is not described.
        events: which events of tracked objects are written; None: none. Needs ``track`` and ``metres``.
        frame_rate: frames per second of numbered images, which are then one video for each folder, and of
            videos that state no rate; None: images are single.

    Raises:
        UserError: no image, camera or model was found, ``out`` cannot be written to, or there is nothing to
            track.
        SystemExit: at the end, with status 1 if a source could not be read or drawn, and with 128 + the
            signal's number after an interruption.
    """
    found = find_sources(images) if images or camera is None else None
    sources = found.sources if found else []
    if frame_rate is not None:
        sources = join_numbered_images(sources)
    headers = [source_header(source, frame_rate) for source in sources]
    _check_sources(sources, headers, camera, out, track, events, frame_rate)
    prepare_output_dir(out)
    names = name_drawings(sources, out)
    lengths = [min(header.frames, frames or sys.maxsize) for header in headers]
    live = _read_first(read_camera(camera)) if camera is not None else None
    length = None if live and not frames else sum(lengths) + (frames or 0) * (live is not None)
    if found and found.left_out:
        print_note(f"left out: {found.describe_left_out()}")
    segmenter = load(model_path, classes=classes)
    _check_classes(segmenter.classes, metres, events)
    min_score = segmenter.threshold if threshold is None else threshold

    def inputs() -> str:
        more = [["track"] if track else [], metres.settings if metres else [], frame_rate]
        return hash_inputs(model_path, segmenter.classes, min_score, frames, sources, names, more)

    columns = (TRACK_COLUMNS if track else COLUMNS) + (metre_fields.COLUMNS if metres else ())
    progress = earlier_progress(out, inputs, len(sources))
    replaces_results = not progress.sources and (out / RESULTS).exists()
    with (
        open_results(out, progress.position, columns) as writer,
        click.progressbar(itertools.count(), length, "predict", show_pos=True, file=sys.stderr) as bar,
        defer_interrupts("interrupted: predict ends after this image") as interrupts,
    ):
        if progress.sources:
            bar.update(sum(lengths[: progress.sources]))
        run = PredictionRun(
            segmenter, min_score, out, writer, lambda: bar.update(1), interrupts, progress, track, metres,
            events,
        )  # fmt: skip
        _predict_sources(run, sources, names, headers, frames)
        is_complete = run.progress.sources == len(sources)
        if live is not None and is_complete:
            camera_frames = itertools.islice(live, frames)
            predict_video(run, camera_frames, f"camera {camera}", f"camera-{camera}.mp4")
            if interrupts.number == signal.SIGINT:
                interrupts.number = 0  # the usual end of a camera
        if run.disk_error and (replaces_results or not run.progress.sources):
            raise run.disk_error
        if not (is_complete or run.writer.position[0] or run.progress.sources):
            raise SystemExit(interrupts.exit_status)  # earlier results are not replaced by none
    _print_summary(run)
    _finish(run, inputs, len(sources))
    if run.disk_error:
        raise run.disk_error
    if interrupts.came():
        raise SystemExit(interrupts.exit_status)
    if run.progress.errors:
        raise SystemExit(1)


def _check_sources(
    sources: list[Source],
    headers: list[VideoHeader],
    camera: int | None,
    out: Path,
    track: bool,
    events: EventRule | None,
    frame_rate: float | None,
) -> None:
    """Check that a rate is of use, and that tracks and events have a video, its rate and their files."""
    untimed = [source for source, header in zip(sources, headers, strict=True) if not header.states_rate]
    if frame_rate is not None and not untimed:
        raise UserError("--frame-rate is for numbered images and videos that state no rate; there are none")
    if not track:
        return
    import_package()
    if camera is None and not any(source.is_video for source in sources):
        raise UserError(
            "--track needs a video or a --camera; all of these are images (numbered ones: give --frame-rate)"
        )
    check_names(out)
    if events:
        check_event_names(out)
        if untimed and frame_rate is None:
            name = untimed[0].path
            raise UserError(f"{name}: a video that states no rate, which events need; give --frame-rate")


def _check_classes(
    classes: tuple[str, ...], metres: metre_fields.Metres | None, events: EventRule | None
) -> None:
    """Check that a model has the classes whose distances are wanted."""
    if metres:
        metres.check_classes(classes)
    if events:
        metre_fields.check_groups(classes, "--event-distance")


def _finish(run: PredictionRun, inputs: Callable[[], str], total: int) -> None:
    """Write the tracks, and save the progress if the user interrupted the run or the disk is full.

    Args:
        run: the run; its results are in their files.
        inputs: returns the hash of the run's inputs.
        total: number of images and videos.
    """
    is_complete = run.progress.sources == total
    if run.track or not is_complete:  # saved before tracks.json, which may not fit on the disk
        save_progress(run.out, inputs(), run.progress)
    if run.track:
        videos = (run.partial or run.progress).videos
        write_tracks(run.out / RESULTS, run.out, videos, run.segmenter.classes)
        if run.events:
            counts = write_events(run.out / RESULTS, run.out, videos, run.events)
            click.echo(f"events: {describe_events(counts, run.events)} -> {run.out / EVENTS}")
    if is_complete:
        remove_progress(run.out)
        return
    done = f"{run.progress.sources} of {total} images are done, and their results are in {run.out}"
    again = " (a video that was interrupted starts over)" if run.partial else ""
    click.echo(f"interrupted: {done}; repeat the command to continue{again}", err=True)


def _predict_sources(
    run: PredictionRun,
    sources: list[Source],
    names: list[str],
    headers: list[VideoHeader],
    frames: int | None,
) -> None:
    """Predict the sources that are not done yet, until the user interrupts or the disk is full."""
    for source, name, header in list(zip(sources, names, headers, strict=True))[run.progress.sources :]:
        if run.interrupts.came():
            return
        before = copy.deepcopy(run.progress)
        try:
            predict_source(run, source, name, header, frames)
        except (KeyboardInterrupt, OSError) as error:  # a second Ctrl-C, or a full disk
            run.disk_error = error if isinstance(error, OSError) else None
            run.progress = before
            run.writer.cut(before.position)
            return
        if source.is_video and run.interrupts.came():  # its results and drawing stay, but it is not done
            run.partial, run.progress = run.progress, before
            return
        run.progress.sources += 1
        run.progress.position = run.writer.position


def _read_first(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Read the first frame now, so that a missing camera is reported before the model is loaded."""
    return itertools.chain([next(frames)], frames)


def _print_summary(run: PredictionRun) -> None:
    progress = run.partial or run.progress
    for note in progress.describe_notes():
        print_note(note)
    if run.metres:
        print_note(metre_fields.NOTICE)
    for message in progress.errors:
        click.echo(f"error: {message}", err=True)
    counts = ", ".join(f"{count} {readable(name)}" for name, count in sorted(progress.objects.items()))
    images = f"{progress.images} of {progress.images + progress.unreadable} images"
    tracks = f" on {progress.tracks} tracks" if run.track else ""
    click.echo(
        f"predict: {counts or 'nothing'}{tracks} in {images} (score from {run.threshold:.2f}) -> {run.out}"
    )
