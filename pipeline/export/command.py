"""The command ``export``: write a checkpoint as an .onnx file, if its detections do not change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from blender.contract import UserError, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.export.int8_accuracy import check_int8, read_comparison_set
from pipeline.export.onnx_model import trace
from pipeline.export.quantize import quantize_file
from pipeline.export.verify import check_parity
from pipeline.inference.exported import FORMAT, SUFFIX, ExportedModel, ExportMetadata, parse_onnx
from pipeline.inference.mask_pasting import MASK_THRESHOLD
from pipeline.models.checkpoint import Checkpoint, load_model
from pipeline.models.checkpoint_metadata import current_versions
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN


def export_model(
    model_path: Path,
    out: Path,
    images: tuple[Path, ...] = (),
    int8: bool = False,
    annotations: Path | None = None,
) -> None:
    """Export a checkpoint to ONNX. The exported model maps raw pixels to boxes, labels, scores and masks.

    Args:
        model_path: the checkpoint (model.safetensors).
        out: the file to write, *.onnx.
        images: files and folders of images on which the exported model is compared with the checkpoint, in
            addition to generated images of several sizes.
        int8: store the weights in 8 bits, if the AP50 drops little.
        annotations: with ``int8``, the COCO file on which AP50 is measured; its images are in the only folder
            of ``images``.

    Raises:
        UserError: a package or a file is missing, or the detections differ; then nothing is written.
    """
    if out.suffix != SUFFIX:
        raise UserError(f"{out}: an exported file must be named *{SUFFIX}")
    if int8 and (annotations is None or len(images) != 1):
        raise UserError(
            "--int8 needs --annotations FILE and --images DIR: the photographs or held-out renders on which "
            "the loss of AP50 is measured"
        )
    prepare_output_dir(out.parent)
    model, checkpoint = load_model(model_path)
    comparison_set = (
        read_comparison_set(annotations, images[0], checkpoint.classes) if int8 and annotations else None
    )
    click.echo(f"export: {model_path} -> onnx")
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
        click.echo(f"export: {check_int8(exported, parse_onnx(data, str(out)), comparison_set)}")
    write_atomic(out, data)
    click.echo(f"export: {out} ({len(data) / 1e6:.1f} MB)")


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
