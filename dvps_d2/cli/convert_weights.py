"""Turn a published checkpoint into a safetensors file with the keys of this package.

examples:
  dvps convert-weights output/demo/model_average.pth model.safetensors
  dvps convert-weights output/demo/model_average.pth model.safetensors \\
      --config-file output/demo/config.yaml
  dvps convert-weights dvis.pth dvis.safetensors --things-first vipseg   # needs published weights
      DVIS on VIPSeg

Models load published files without conversion; this is for files to keep or to share, and for
class heads whose order differs. It needs Detectron2 and, to write, `pip install dvps_d2[hub]`.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from typing import Any

from dvps_d2.formats import class_table

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``dvps convert-weights``."""
    parser.add_argument("input", metavar="IN", help="a .pkl, .pth or .safetensors file")
    parser.add_argument("output", metavar="OUT", help="a .safetensors file")
    parser.add_argument(
        "--things-first",
        metavar="TABLE",
        help="the class heads list the things of this class table (vipseg, ...) before its stuff; "
        "bring them into the order of the table",
    )
    parser.add_argument(
        "--config-file", metavar="CONFIG", help="say what a model of this config would take"
    )


def run(args: argparse.Namespace) -> int:
    """Convert one file.

    Raises:
        ValueError: the output has another ending, or the file holds something else.
    """
    from dvps_d2.d2.weight_files import read_checkpoint, write_safetensors
    from dvps_d2.d2.weights import convert_keys, reorder_classes

    if not args.output.endswith(".safetensors"):
        raise ValueError(f"{args.output} must end in .safetensors")
    conversion = convert_keys(read_checkpoint(args.input)["model"])
    weights = conversion.weights
    if args.things_first:
        weights = reorder_classes(weights, class_table(args.things_first).things_first())
    print(f"family: {conversion.family or 'none of the published ones'}")
    print(f"{len(weights)} tensors, {len(conversion.renamed)} of them renamed")
    for new, old in conversion.renamed.items():
        print(f"  {old} -> {new}")
    for key in conversion.left_out:
        print(f"  {key} is left out")
    if args.config_file:
        _compare(weights, args.config_file)
    write_safetensors(weights, args.output)
    print(f"written: {args.output}")
    return 0


def _compare(weights: Mapping[str, Any], config_file: str) -> None:
    from dvps_d2.d2.weights import fit_to_model, outline_of_model

    fit = fit_to_model(weights, outline_of_model(config_file))
    print(f"the model takes {len(fit.weights)}")
    for key, reason in fit.dropped.items():
        print(f"  {key} is not taken: {reason}")
    for title, keys in (("not in the model", fit.leftover), ("new in the model", fit.new)):
        print(f"{title}: {len(keys)}")
        for key in keys:
            print(f"  {key}")
