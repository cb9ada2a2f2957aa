"""The command ``export``: write a checkpoint as an .onnx file, if its detections do not change, or as a page
with that file in it.

With 8-bit weights it also writes checkpoints, to be sent or shipped: they have less than a third of the size,
and training can start from them.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import click

from blender.contract import UserError, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.export.html.page import build_page
from pipeline.export.html.runtime import read_runtime
from pipeline.export.int8_accuracy import ComparisonSet, check_int8, read_comparison_set
from pipeline.export.onnx_model import trace
from pipeline.export.quantize import quantize_file
from pipeline.export.verify import check_parity
from pipeline.inference.exported import FORMAT, ExportedModel, ExportMetadata, parse_onnx
from pipeline.inference.mask_pasting import MASK_THRESHOLD
from pipeline.inference.predictor import predict_array
from pipeline.models.checkpoint import Checkpoint, load_model, model_from_checkpoint, save_checkpoint
from pipeline.models.checkpoint_metadata import current_versions
from pipeline.models.eight_bit import compress, expand
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN

MAX_CHECKPOINT_LOSS = 0.005
"""Largest allowed loss of AP50 of a checkpoint by 8-bit weights."""


def export_model(
    model_path: Path,
    out: Path,
    images: tuple[Path, ...] = (),
    int8: bool = False,
    annotations: Path | None = None,
    file_format: str = "onnx",
    runtime: Path | None = None,
) -> None:
    """Export a checkpoint. An ONNX model maps raw pixels to boxes, labels, scores and masks.

    Args:
        model_path: the checkpoint (model.safetensors).
        out: the file to write, *.onnx, *.html or *.safetensors.
        images: files and folders of images on which the exported model is compared with the checkpoint, in
            addition to generated images of several sizes.
        int8: store the weights in 8 bits, if the AP50 drops little.
        annotations: with ``int8``, the COCO file on which AP50 is measured; its images are in the only folder
            of ``images``.
        file_format: "onnx", "html" for a page that runs the model in a browser, or "safetensors" for a
            checkpoint with 8-bit weights.
        runtime: for "html", the archive of onnxruntime-web (see ``pipeline.export.html.runtime``).

    Raises:
        UserError: a package or a file is missing, or the detections differ; then nothing is written.
    """
    if out.suffix != f".{file_format}":
        raise UserError(f"{out}: an exported file must be named *.{file_format} (see --format)")
    if file_format == "safetensors" and not int8:
        raise UserError(
            "--format safetensors needs --int8: with 32-bit weights the model is such a file already"
        )
    if int8 and (annotations is None or len(images) != 1):
        raise UserError(
            "--int8 needs --annotations FILE and --images DIR: the photographs or held-out renders on which "
            "the loss of AP50 is measured"
        )
    if runtime and file_format != "html":
        raise UserError("--runtime belongs to --format html")
    web_runtime = read_runtime(runtime) if file_format == "html" else None
    prepare_output_dir(out.parent)
    model, checkpoint = load_model(model_path)
    if annotations and file_format == "safetensors":
        _export_checkpoint(
            model, checkpoint, out, read_comparison_set(annotations, images[0], checkpoint.classes)
        )
        return
    comparison_set = (
        read_comparison_set(annotations, images[0], checkpoint.classes) if int8 and annotations else None
    )
    click.echo(f"export: {model_path} -> {file_format}")
    metadata = describe_export(model, checkpoint)
    traced = trace(model, metadata.model, metadata.min_box_score)

    def with_min_score(min_box_score: float) -> ExportedModel:
        changed = dataclasses.replace(metadata, min_box_score=min_box_score)
        return parse_onnx(traced.serialize(changed), str(out))

    data = traced.serialize(metadata)
    exported = parse_onnx(data, str(out))
    click.echo(
        f"export: same detections as its checkpoint: {check_parity(model, exported, with_min_score, images)}"
    )
    if comparison_set is not None:
        data = quantize_file(data, metadata)
        quantized = parse_onnx(data, str(out))
        metadata = quantized.metadata
        click.echo(f"export: {check_int8(exported.predict, quantized.predict, comparison_set, str(out))}")
    if web_runtime:
        data = build_page(data, metadata, web_runtime)
    write_atomic(out, data)
    click.echo(f"export: {out} ({len(data) / 1e6:.1f} MB)")


def _export_checkpoint(
    model: TranspaletteMaskRCNN, checkpoint: Checkpoint, out: Path, comparison_set: ComparisonSet
) -> None:
    """Write a checkpoint with 8-bit weights, if its AP50 drops by at most ``MAX_CHECKPOINT_LOSS``."""
    rounded = dataclasses.replace(checkpoint, state=expand(compress(checkpoint.state)))
    line = check_int8(
        partial(predict_array, model),
        partial(predict_array, model_from_checkpoint(rounded, out).eval()),
        comparison_set,
        str(out),
        MAX_CHECKPOINT_LOSS,
    )
    click.echo(f"export: {line}")
    save_checkpoint(out, checkpoint, eight_bit=True)
    click.echo(f"export: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def describe_export(model: TranspaletteMaskRCNN, checkpoint: Checkpoint) -> ExportMetadata:
    """Collect the metadata of an exported file."""
    transform = model.transform
    return ExportMetadata(
        format=FORMAT,
        version=current_versions()["transpalette"],
        model=checkpoint.model,
        classes=checkpoint.classes,
        score_threshold=checkpoint.score_threshold,
        mask_threshold=MASK_THRESHOLD,
        mask_margin=model.mask_margin,
        min_box_score=model.roi_heads.score_thresh,
        min_size=transform.min_size[-1],
        max_size=transform.max_size,
        image_mean=tuple(transform.image_mean),
        image_std=tuple(transform.image_std),
        precision="fp32",
    )
