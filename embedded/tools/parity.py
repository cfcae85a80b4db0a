#!/usr/bin/env python
"""Run two Detectron2 packages on the same weights and images and print how far they are apart.

    python embedded/tools/parity.py .venv/bin/python .venv-official/bin/python

Each package is run by an interpreter of its own environment. Mask R-CNN and Panoptic FPN with
ResNet-50 get random weights, drawn once and saved; both packages load the file, read the same
pictures through the dataset mapper, and write down features, proposals, detections, masks, class
scores, panoptic maps, and for one training step inputs, losses, gradients and the parameters
after a step of the optimizer. Only names of Detectron2's public API are used.

Differences of numbers are relative to the largest number of the array; of labels and masks the
fraction that is unequal; of proposals the fraction without an equal one. Exit code 1 when a
difference exceeds its limit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MODELS = ("GeneralizedRCNN", "PanopticFPN")
# Whole models in float32: sums in another order move the last bits, and thresholds whole pixels.
LIMIT_NUMBERS, LIMIT_LABELS = 1e-4, 1e-3
# Random weights: the standard deviation of what a layer gives, over that of what it gets. Pixels
# come in at about 60, boxes should stay near their anchors, and classes should be told apart.
GAINS = {"stem": 0.03, "fpn_": 1.0, "anchor_deltas": 0.1, "bbox_pred": 0.3, "cls_score": 6.0}
# Things and stuff of the pictures, and what is drawn in them: class, polygon in parts of the side.
THINGS, STUFF = 80, 54
SHAPES = (
    (2, ((0.1, 0.5), (0.4, 0.5), (0.4, 0.8), (0.1, 0.8))),
    (7, ((0.5, 0.4), (0.9, 0.45), (0.8, 0.9), (0.55, 0.85))),
    (0, ((0.3, 0.2), (0.4, 0.2), (0.45, 0.6), (0.28, 0.6))),
)


def main() -> int:
    """Compare two environments; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs=2, metavar="PYTHON", help="interpreters to compare")
    parser.add_argument("--images", type=Path, help="folder of pictures; default: some are drawn")
    parser.add_argument("--side", type=int, default=256, help="shorter side given to the model")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write {name: difference} there")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args.worker, Path(args.pythons[0]), args.side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, args.images)
        results = [
            measure(python, folder, number, args) for number, python in enumerate(args.pythons)
        ]
    print(" and ".join(f"Detectron2 {result.pop('package')}" for result in results))
    differences, bad = compare(*results)
    if args.json:
        args.json.write_text(json.dumps(differences, indent=1) + "\n")
    for name in sorted(differences, key=differences.get)[:-6:-1]:
        print(f"largest: {differences[name]:.2g} {name}")
    print(f"{len(bad)} of {len(differences)} beyond the limits" + "".join(f"\n  {b}" for b in bad))
    return 1 if bad else 0


# ---- what is compared ---------------------------------------------------------------------------


def write_pictures(folder: Path, images: Path | None, count: int = 2) -> None:
    """Pictures, and beside each a label map of stuff, as files that both packages read."""
    import cv2

    rng = np.random.default_rng(0)
    given = sorted(images.glob("*.*"))[:8] if images else []
    for index in range(len(given) or count):
        if given:
            picture = cv2.imread(str(given[index]))
            if picture is None:
                raise SystemExit(f"{given[index]} is no picture")
        else:
            coarse = rng.integers(0, 256, (6, 9 - index, 3), dtype=np.uint8)
            size = (480 - 64 * index, 320 + 32 * index)
            picture = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
            noise = rng.integers(0, 24, picture.shape, dtype=np.uint8)
            picture = cv2.add(picture, noise)
        height, width = picture.shape[:2]
        labels = np.add.outer(np.arange(height) // 60, np.arange(width) // 70) % (STUFF - 1) + 1
        for color, (_, polygon) in enumerate(SHAPES):
            points = np.array(polygon) * (width, height)
            if not given:
                cv2.fillPoly(picture, [points.astype(np.int32)], (80 * color, 250 - 60 * color, 40))
            label = labels.astype(np.uint8)
            cv2.fillPoly(label, [points.astype(np.int32)], 0)  # class 0 is "some thing"
            labels = label
        labels[:5] = 255
        cv2.imwrite(str(folder / f"picture_{index}.png"), picture)
        cv2.imwrite(str(folder / f"labels_{index}.png"), labels)


def measure(python: str, folder: Path, number: int, args: argparse.Namespace) -> dict:
    """Run the worker with one interpreter and read what it wrote."""
    out = folder / f"out_{number}"
    out.mkdir()
    command = [python, __file__, str(folder), "-", "--worker", str(out)]
    command += ["--side", str(args.side)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stdout[-4000:]}")
    with np.load(out / "arrays.npz") as arrays:
        return {"package": (out / "package").read_text(), **arrays}


def compare(first: dict, second: dict) -> tuple[dict[str, float], list[str]]:
    """Print a table; differences by name, and the names of those beyond the limits."""
    differences, bad = {}, []
    print(f"{'':<52}{'shape':<22}{'largest':>10}{'difference':>12}")
    for name in [*first, *(name for name in second if name not in first)]:
        if name not in first or name not in second or first[name].shape != second[name].shape:
            shapes = [str(one[name].shape) if name in one else "absent" for one in (first, second)]
            print(f"{name:<52}{' and '.join(shapes)}")
            differences[name] = float("inf")
            bad.append(name)
            continue
        a, b = first[name], second[name]
        limit = LIMIT_LABELS
        if not a.size:
            largest, difference = 0.0, float("nan")  # two times nothing shows nothing
        elif name.endswith("proposals"):
            largest, difference = a.max(), without_partner(a, b)
        elif a.dtype.kind == "f":
            largest = np.abs(a).max()
            difference, limit = np.abs(a - b).max() / (largest or 1.0), LIMIT_NUMBERS
        else:
            largest, difference = a.max(), (a != b).mean()
        differences[name] = float(difference)
        if not difference <= limit:  # also when it is not a number
            bad.append(name)
        print(f"{name:<52}{a.shape!s:<22}{largest:>10.4g}{difference:>12.2g}")
    return differences, bad


def without_partner(boxes: np.ndarray, others: np.ndarray) -> float:
    """Fraction of (N, 4) boxes that are not among others, whatever the order of the two."""
    distance = np.abs(boxes[:, None] - others[None]).max(-1)
    return float((distance.min(1) > 1e-4 * boxes.max()).mean())


# ---- the worker: runs inside one environment ----------------------------------------------------


def worker(out: Path, folder: Path, side: int) -> int:
    """Run both models on the pictures below ``folder`` and write arrays to ``out``."""
    from importlib.metadata import version

    arrays: dict[str, np.ndarray] = {}
    for name in MODELS:
        cfg = make_config(name, side, folder)
        if not (folder / f"{name}.pth").exists():
            save_weights(cfg, folder / f"{name}.pth")
        records = make_records(folder)
        run_inference(load_model(cfg), cfg, records, f"{name} ", arrays)
        run_training(load_model(cfg), cfg, records, f"{name} training ", arrays)
    np.savez(out / "arrays.npz", **arrays)
    (out / "package").write_text(version("detectron2"))
    return 0


def make_config(name: str, side: int, folder: Path):
    """The published config of Mask R-CNN or Panoptic FPN, R50-FPN, at a smaller input size."""
    from detectron2.config import get_cfg

    cfg = get_cfg()
    levels = ["p2", "p3", "p4", "p5", "p6"]
    stages = ["res2", "res3", "res4", "res5"]
    values = {
        "MODEL.DEVICE": "cpu",
        "MODEL.META_ARCHITECTURE": name,
        "MODEL.WEIGHTS": str(folder / f"{name}.pth"),
        "MODEL.MASK_ON": True,
        "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
        "MODEL.RESNETS.OUT_FEATURES": stages,
        "MODEL.FPN.IN_FEATURES": stages,
        "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
        "MODEL.RPN.IN_FEATURES": levels,
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 2000,
        "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
        "MODEL.RPN.POST_NMS_TOPK_TRAIN": 1000,
        "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
        "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES": levels[:4],
        "MODEL.ROI_HEADS.NUM_CLASSES": THINGS,
        "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
        "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
        "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
        "MODEL.ROI_MASK_HEAD.NUM_CONV": 4,
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
        "MODEL.SEM_SEG_HEAD.NUM_CLASSES": STUFF,
        "MODEL.SEM_SEG_HEAD.LOSS_WEIGHT": 0.5,
        "INPUT.MIN_SIZE_TRAIN": (side, side + 32),
        "INPUT.MIN_SIZE_TEST": side,
        "INPUT.MASK_FORMAT": "bitmask",
        "SOLVER.BASE_LR": 0.001,
    }
    cfg.merge_from_list([part for pair in values.items() for part in pair])
    return cfg


def save_weights(cfg, path: Path) -> None:
    """Draw weights that keep the signal's size through the network, and scores that differ."""
    import torch

    from detectron2.modeling import build_model

    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in sorted(build_model(cfg).state_dict().items()):
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() > 1:
            gain = next((gain for part, gain in GAINS.items() if part in name), 1.4)
            state[name] = noise * gain / value[0].numel() ** 0.5
        elif name.endswith(("norm.weight", "running_var")) or ".gn" in name:
            # The last norm of a residual block is small, or blocks would double the variance.
            state[name] = (0.2 if "conv3.norm.weight" in name else 1.0) * (1 + 0.1 * noise.abs())
        elif name.startswith("pixel_"):
            state[name] = value
        else:
            state[name] = 0.1 * noise
    torch.save({"model": state}, path)


def load_model(cfg):
    """Build a model and load the common weights as users do."""
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.modeling import build_model

    model = build_model(cfg)
    DetectionCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model


def make_records(folder: Path) -> list[dict]:
    """Dataset records of the pictures, with polygons and label maps."""
    import cv2

    from detectron2.structures import BoxMode

    records = []
    for path in sorted(folder.glob("picture_*.png")):
        height, width = cv2.imread(str(path)).shape[:2]
        annotations = []
        for category, polygon in SHAPES:
            points = np.array(polygon) * (width, height)
            box = [*points.min(0), *points.max(0)]
            annotations.append(
                {
                    "category_id": category,
                    "bbox": [float(number) for number in box],
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "segmentation": [points.flatten().tolist()],
                    "iscrowd": 0,
                }
            )
        labels = path.with_name(path.name.replace("picture", "labels"))
        records.append(
            {
                "file_name": str(path),
                "sem_seg_file_name": str(labels),
                "image_id": path.stem,
                "height": height,
                "width": width,
                "annotations": annotations,
            }
        )
    return records


def run_inference(model, cfg, records: list[dict], prefix: str, arrays: dict) -> None:
    """Features, proposals and outputs for the pictures."""
    import torch

    from detectron2.data import DatasetMapper

    model.eval()
    mapper = DatasetMapper(cfg, is_train=False)
    items = [mapper(record) for record in records]
    with torch.no_grad():
        images = model.preprocess_image(items)
        features = model.backbone(images.tensor)
        proposals, _ = model.proposal_generator(images, features)
        outputs = model(items)
    for level, feature in features.items():
        arrays[f"{prefix}{level}"] = feature.numpy()
    for index, (item, found, output) in enumerate(zip(items, proposals, outputs, strict=True)):
        one = f"{prefix}image {index} "
        detected = output["instances"]
        arrays[f"{one}input"] = item["image"].numpy()
        arrays[f"{one}proposals"] = found.proposal_boxes.tensor.numpy()
        arrays[f"{one}objectness"] = found.objectness_logits.numpy()
        arrays[f"{one}boxes"] = detected.pred_boxes.tensor.numpy()
        arrays[f"{one}scores"] = detected.scores.numpy()
        arrays[f"{one}classes"] = detected.pred_classes.numpy()
        arrays[f"{one}masks"] = detected.pred_masks.numpy()
        if "panoptic_seg" in output:
            ids, segments = output["panoptic_seg"]
            arrays[f"{one}stuff scores"] = output["sem_seg"].numpy()
            arrays[f"{one}panoptic map"] = ids.numpy()
            table = [[part["id"], part["isthing"], part["category_id"]] for part in segments]
            arrays[f"{one}panoptic segments"] = np.array(table, dtype=np.int64)


def run_training(model, cfg, records: list[dict], prefix: str, arrays: dict) -> None:
    """One training step: augmented inputs, losses, gradients, parameters after the step."""
    from detectron2.data import DatasetMapper
    from detectron2.solver import build_optimizer
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import EventStorage

    seed_all_rng(1)
    mapper = DatasetMapper(cfg, is_train=True)
    items = [mapper(record) for record in records]
    model.train()
    optimizer = build_optimizer(cfg, model)
    with EventStorage():
        losses = model(items)
    sum(losses.values()).backward()
    for index, item in enumerate(items):
        truth = item["instances"]
        arrays[f"{prefix}image {index} input"] = item["image"].numpy()
        arrays[f"{prefix}image {index} true boxes"] = truth.gt_boxes.tensor.numpy()
        arrays[f"{prefix}image {index} true masks"] = truth.gt_masks.tensor.numpy()
        if "sem_seg" in item:
            arrays[f"{prefix}image {index} true stuff"] = item["sem_seg"].numpy()
    for name, loss in losses.items():
        arrays[f"{prefix}{name}"] = loss.detach().numpy()
    trained = [p for p in model.parameters() if p.grad is not None]
    arrays[f"{prefix}gradient norms"] = np.array([float(p.grad.norm()) for p in trained])
    before = [p.detach().clone() for p in trained]
    optimizer.step()
    steps = [float((p.detach() - old).norm()) for p, old in zip(trained, before, strict=True)]
    arrays[f"{prefix}lengths of a step"] = np.array(steps)


if __name__ == "__main__":
    sys.exit(main())
