#!/usr/bin/env python
"""Train a panoptic model on drawn shapes: a script as people write them for Detectron2.

It knows nothing of which Detectron2 is installed, and must never need to.
"""

import json
import os

import cv2
import numpy as np
import torch

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.data import transforms as T
from detectron2.engine import (
    DefaultPredictor,
    DefaultTrainer,
    default_argument_parser,
    default_setup,
    hooks,
    launch,
)
from detectron2.evaluation import (
    DatasetEvaluator,
    DatasetEvaluators,
    SemSegEvaluator,
    inference_on_dataset,
    print_csv_format,
)
from detectron2.modeling import build_model
from detectron2.structures import BoxMode, pairwise_iou
from detectron2.utils.logger import setup_logger
from detectron2.utils.visualizer import ColorMode, Visualizer

THINGS = ["box", "disc"]
STUFF = ["things", "meadow", "sky"]
HEIGHT, WIDTH = 64, 96


def draw_scene(folder, index):
    """One picture with a box and a disc before meadow and sky, and its record."""
    rng = np.random.default_rng(index)
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    labels = np.empty((HEIGHT, WIDTH), np.uint8)
    horizon = int(rng.integers(20, 40))
    image[:horizon], labels[:horizon] = (220, 160, 60), 2
    image[horizon:], labels[horizon:] = (40, 150, 50), 1
    annotations = []
    for category in range(len(THINGS)):
        x, y = int(rng.integers(4, 40)) + 40 * category, int(rng.integers(4, 32))
        size = int(rng.integers(12, 24))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        if category == 0:
            points = np.array([[x, y], [x + size, y], [x + size, y + size], [x, y + size]])
        else:
            angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
            circle = np.stack([np.cos(angles), np.sin(angles)], 1)
            points = (np.array([x, y]) + size / 2 + size / 2 * circle).round().astype(int)
        cv2.fillPoly(mask, [points], 1)
        image[mask > 0] = (30, 40, 200) if category == 0 else (210, 60, 190)
        labels[mask > 0] = 0
        top_left, bottom_right = points.min(0), points.max(0)
        annotations.append(
            {
                "bbox": [int(v) for v in (*top_left, *(bottom_right - top_left))],
                "bbox_mode": BoxMode.XYWH_ABS,
                "segmentation": [points.astype(float).flatten().tolist()],
                "category_id": category,
                "iscrowd": 0,
            }
        )
    image = cv2.add(image, rng.integers(0, 20, image.shape, dtype=np.uint8))
    name = os.path.join(folder, f"scene_{index}")
    cv2.imwrite(f"{name}.png", image)
    cv2.imwrite(f"{name}_labels.png", labels)
    return {
        "file_name": f"{name}.png",
        "sem_seg_file_name": f"{name}_labels.png",
        "image_id": index,
        "height": HEIGHT,
        "width": WIDTH,
        "annotations": annotations,
    }


def register_scenes(folder):
    os.makedirs(folder, exist_ok=True)
    for split, numbers in (("train", range(6)), ("val", range(6, 9))):
        name = f"scenes_{split}"
        DatasetCatalog.register(name, lambda n=numbers: [draw_scene(folder, i) for i in n])
        MetadataCatalog.get(name).set(
            thing_classes=THINGS, stuff_classes=STUFF, ignore_label=255, evaluator_type="scenes"
        )


class FoundShapes(DatasetEvaluator):
    """Share of the true shapes that some detection covers, and how many detections there are."""

    def __init__(self, dataset_name):
        self.truth = {record["image_id"]: record for record in DatasetCatalog.get(dataset_name)}

    def reset(self):
        self.found = self.total = self.detections = 0

    def process(self, inputs, outputs):
        for item, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            self.detections += len(instances)
            boxes = [
                BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS)
                for a in self.truth[item["image_id"]]["annotations"]
            ]
            truth = type(instances.pred_boxes)(torch.tensor(boxes, dtype=torch.float32))
            overlap = pairwise_iou(truth, instances.pred_boxes)
            self.total += len(boxes)
            if len(instances):
                self.found += int((overlap.max(1).values > 0.5).sum())

    def evaluate(self):
        return {"shapes": {"recall": self.found / self.total, "detections": self.detections}}


class Trainer(DefaultTrainer):
    @classmethod
    def build_train_loader(cls, cfg):
        augmentations = [
            T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, "choice"),
            T.RandomBrightness(0.9, 1.1),
            T.RandomFlip(),
        ]
        mapper = DatasetMapper(cfg, is_train=True, augmentations=augmentations)
        return build_detection_train_loader(cfg, mapper=mapper)

    @classmethod
    def build_evaluator(cls, cfg, dataset_name, output_folder=None):
        folder = output_folder or os.path.join(cfg.OUTPUT_DIR, "inference")
        return DatasetEvaluators(
            [SemSegEvaluator(dataset_name, output_dir=folder), FoundShapes(dataset_name)]
        )

    def build_hooks(self):
        ret = super().build_hooks()
        best = hooks.BestCheckpointer(
            self.cfg.TEST.EVAL_PERIOD, self.checkpointer, "sem_seg/mIoU", "max"
        )
        ret.insert(-1, best)
        return ret


def setup(args):
    cfg = get_cfg()
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, name="scenes")
    register_scenes(os.path.join(cfg.OUTPUT_DIR, "scenes"))
    return cfg


def visualize(cfg, record):
    """Predict one picture and draw what was found; returns the prediction."""
    image = cv2.imread(record["file_name"])
    prediction = DefaultPredictor(cfg)(image)
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    visualizer = Visualizer(image[:, :, ::-1], metadata, scale=2.0, instance_mode=ColorMode.IMAGE)
    ids, segments = prediction["panoptic_seg"]
    drawn = visualizer.draw_panoptic_seg_predictions(ids.to("cpu"), segments)
    cv2.imwrite(os.path.join(cfg.OUTPUT_DIR, "panoptic.png"), drawn.get_image()[:, :, ::-1])
    visualizer = Visualizer(image[:, :, ::-1], metadata, scale=2.0)
    drawn = visualizer.draw_instance_predictions(prediction["instances"].to("cpu"))
    cv2.imwrite(os.path.join(cfg.OUTPUT_DIR, "instances.png"), drawn.get_image()[:, :, ::-1])
    visualizer = Visualizer(image[:, :, ::-1], metadata, scale=2.0)
    drawn = visualizer.draw_dataset_dict(record)
    cv2.imwrite(os.path.join(cfg.OUTPUT_DIR, "truth.png"), drawn.get_image()[:, :, ::-1])
    return prediction


def main(args):
    cfg = setup(args)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()

    # The last checkpoint, in a model of its own.
    model = build_model(cfg)
    weights = os.path.join(cfg.OUTPUT_DIR, "model_final.pth")
    DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(weights, resume=False)
    name = cfg.DATASETS.TEST[0]
    scores = inference_on_dataset(
        model, build_detection_test_loader(cfg, name), Trainer.build_evaluator(cfg, name)
    )
    print_csv_format(scores)

    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS = weights
    prediction = visualize(cfg, DatasetCatalog.get(name)[0])
    summary = {
        "scores": scores,
        "segments": len(prediction["panoptic_seg"][1]),
        "instances": len(prediction["instances"]),
    }
    with open(os.path.join(cfg.OUTPUT_DIR, "summary.json"), "w") as f:
        json.dump(summary, f, indent=1)


if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    launch(
        main,
        args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        args=(args,),
    )
