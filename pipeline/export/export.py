"""A checkpoint as a file that runs elsewhere, kept only if it finds what the checkpoint finds."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torchvision.models.detection import MaskRCNN

from blender.contract import UserError, write_atomic
from pipeline.common.optional import import_optional
from pipeline.common.stages import prepare_output_dir
from pipeline.export.quantize import check_int8, quantised, read_truth
from pipeline.export.verify import check_parity
from pipeline.inference.exported import (
    EXTRA_FILE,
    FORMAT,
    INPUT,
    KEY,
    OUTPUTS,
    PARSERS,
    Exported,
    Facts,
    seal_onnx,
)
from pipeline.inference.predictions import MASK_THRESHOLD
from pipeline.models.checkpoint import Checkpoint, current_versions, load_model, seal
from pipeline.models.detector import PixelDetector, TunableDetector, plain_detector

OPSET = 17
_EXAMPLE = (96, 128)
"""Rows and columns of the picture that tracers follow; the sizes stay free."""
_LEAST = "min_box_score"
"""The name in an .onnx graph of what the facts call so."""

Writer = Callable[[Facts], bytes]
"""A file's content, from the facts that are to travel in it."""


def export_model(
    model_path: Path,
    to: str,
    out: Path,
    images: tuple[Path, ...] = (),
    int8: bool = False,
    annotations: Path | None = None,
) -> None:
    """Write a checkpoint as ONNX or TorchScript, from raw pixels to boxes, labels, scores and masks.

    Args:
        to: a key of ``FORMATS``, which says how ``out`` must end.
        images: pictures, or folders of them, on which the file must agree with the checkpoint, beside
            pictures of several sizes that are made up.
        int8: quantise the weights of an .onnx file, and keep it only if it costs little AP50 ...
        annotations: ... on this COCO file, whose images lie in the one folder ``images``.

    Raises:
        UserError: a package or a file is missing, or the file does not agree; then nothing is written.
    """
    if to not in FORMATS:
        raise UserError(f"--format {to} is unknown; known: {', '.join(FORMATS)}")
    if out.suffix != f".{to}":
        raise UserError(f"{out}: a file of this format must be named *.{to}")
    if int8 and (to != "onnx" or annotations is None or len(images) != 1):
        raise UserError(
            "--int8 needs --format onnx, and --annotations FILE and --images DIR: the photographs or "
            "held-out renders on which the loss of AP50 is measured"
        )
    prepare_output_dir(out.parent)
    model, checkpoint = load_model(model_path)
    truth = read_truth(annotations, images[0], checkpoint.classes) if int8 and annotations else None
    click.echo(f"export: {model_path} -> {to}")
    facts, parse = _facts(model, checkpoint), PARSERS[out.suffix]
    write = FORMATS[to](model, facts)
    data = write(facts)
    exported = parse(data, str(out))

    def at(least: float) -> Exported:
        return parse(write(dataclasses.replace(facts, min_box_score=least)), str(out))

    click.echo(f"export: as its checkpoint: {check_parity(model, exported, at, images)}")
    if truth is not None:
        data = to_int8(data, exported)
        click.echo(f"export: {check_int8(exported, parse(data, str(out)), truth)}")
    write_atomic(out, data)
    click.echo(f"export: {out} ({len(data) / 1e6:.1f} MB)")


def _facts(model: MaskRCNN, checkpoint: Checkpoint) -> Facts:
    seen = model.transform
    return Facts(
        format=FORMAT,
        version=current_versions()["transpalette"],
        model=checkpoint.model,
        classes=checkpoint.classes,
        score_threshold=checkpoint.score_threshold,
        mask_threshold=MASK_THRESHOLD,
        mask_margin=model.roi_heads.mask_roi_pool.margin,
        min_box_score=model.roi_heads.score_thresh,
        min_size=seen.min_size[-1],
        max_size=seen.max_size,
        image_mean=tuple(seen.image_mean),
        image_std=tuple(seen.image_std),
        precision="fp32",
    )


def to_onnx(model: MaskRCNN, facts: Facts) -> Writer:
    """Trace a network for ONNX.

    Raises:
        UserError: a package is missing, or the network has something ONNX has not.
    """
    onnx = import_optional("onnx", "export", "--format onnx")
    import_optional("onnxruntime", "export", "--format onnx")
    detector, stream = TunableDetector(plain_detector(model)).eval(), io.BytesIO()
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*_EXAMPLE, 3), np.uint8))
    # On a failure it would print the whole network.
    getattr(torch._C, "_jit_set_onnx_log_enabled", lambda on: None)(False)
    with _quiet(), _network_faults(facts.model, "ONNX"), torch.no_grad():
        torch.onnx.export(
            detector,
            (image, torch.tensor(facts.min_box_score)),
            stream,  # type: ignore[arg-type]  # as its documentation says
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT, _LEAST],
            output_names=list(OUTPUTS),
            dynamic_axes={INPUT: {0: "height", 1: "width"}, **{name: {0: "objects"} for name in OUTPUTS}},
        )
    proto = onnx.load_from_string(stream.getvalue())
    del proto.graph.input[1]  # a constant instead, of which each file may have its own

    def write(facts: Facts) -> bytes:
        least = onnx.numpy_helper.from_array(np.array(facts.min_box_score, np.float32), _LEAST)
        others = [constant for constant in proto.graph.initializer if constant.name != _LEAST]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend([*others, least])
        return _finished(proto, facts)

    return write


def to_int8(data: bytes, exported: Exported) -> bytes:
    """An .onnx file's content with 8-bit weights."""
    onnx = import_optional("onnx", "export", "--int8")
    with _quiet():
        proto = quantised(onnx.load_from_string(data))
    return _finished(proto, dataclasses.replace(exported.facts, precision="int8"))


def _finished(proto: Any, facts: Facts) -> bytes:
    """An ONNX model's bytes, with what travels with it."""
    onnx = import_optional("onnx", "export", "--format onnx")
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {KEY: facts.json()})
    proto.producer_name, proto.producer_version = "transpalette", facts.version
    return seal_onnx(proto.SerializeToString())


def to_torchscript(model: MaskRCNN, facts: Facts) -> Writer:
    """Compile a network for TorchScript.

    The backbone, which may be any network of timm's, is traced; all that decides is compiled.

    Raises:
        UserError: the network cannot be traced.
    """
    detector = plain_detector(model)
    with _quiet(), _network_faults(facts.model, "TorchScript"), torch.no_grad():
        example = torch.zeros(1 + detector.mirror, 3, *_EXAMPLE)
        detector.backbone = torch.jit.trace(detector.backbone, example, strict=False)
        script = torch.jit.script(PixelDetector(detector).eval())

    def write(facts: Facts) -> bytes:
        stream = io.BytesIO()
        script.detector.roi_heads.score_thresh = facts.min_box_score
        with _quiet():
            torch.jit.save(script, stream, _extra_files={EXTRA_FILE: facts.json()})
        return seal(stream.getvalue())

    return write


FORMATS: dict[str, Callable[[MaskRCNN, Facts], Writer]] = {"onnx": to_onnx, "torchscript": to_torchscript}
"""What ``--format`` may be, and the file's suffix."""


@contextlib.contextmanager
def _network_faults(network: str, to: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{network} cannot be exported to {to}: {line}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what tracers say about constants and their own age: the check that follows knows better."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
