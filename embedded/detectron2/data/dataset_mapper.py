"""From the record of an image to the input of a model."""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detectron2._subset import outside_subset
from detectron2.config import CfgNode, configurable

from . import detection_utils as utils
from . import transforms as T

__all__ = ["DatasetMapper"]


class DatasetMapper:
    """Read an image, augment it, and turn its annotations into training targets.

    The records have "file_name" and may have "sem_seg_file_name" and "annotations".

    Attributes:
        is_train: whether targets are made.
        augmentations: an AugmentationList.
        image_format: see `detection_utils.read_image`.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        augmentations: Sequence[T.Augmentation | T.Transform],
        image_format: str,
        use_instance_mask: bool = False,
        use_keypoint: bool = False,
        instance_mask_format: str = "polygon",
        keypoint_hflip_indices: np.ndarray | None = None,
        precomputed_proposal_topk: int | None = None,
        recompute_boxes: bool = False,
    ) -> None:
        """Also called as ``DatasetMapper(cfg, is_train=True)``.

        Args:
            is_train: training or testing.
            augmentations: applied in order.
            image_format: see `detection_utils.read_image`.
            use_instance_mask: whether targets have masks.
            use_keypoint: outside the embedded subset.
            instance_mask_format: "polygon" or "bitmask".
            keypoint_hflip_indices: goes with ``use_keypoint``.
            precomputed_proposal_topk: transform this many "proposal_boxes" of the record.
            recompute_boxes: take boxes from the transformed masks, which are tighter after a crop.
        """
        if recompute_boxes:
            assert use_instance_mask, "recompute_boxes needs use_instance_mask"
        if use_keypoint:
            outside_subset("DatasetMapper(use_keypoint=True)")
        self.is_train = is_train
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.use_instance_mask = use_instance_mask
        self.instance_mask_format = instance_mask_format
        self.use_keypoint = use_keypoint
        self.keypoint_hflip_indices = keypoint_hflip_indices
        self.proposal_topk = precomputed_proposal_topk
        self.recompute_boxes = recompute_boxes
        logging.getLogger(__name__).info(
            "Augmentations in %s: %s", "training" if is_train else "testing", augmentations
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Arguments from INPUT.* and MODEL.MASK_ON; the crop comes before the resizing."""
        augmentations = utils.build_augmentation(cfg, is_train)
        use_crop = cfg.INPUT.CROP.ENABLED and is_train
        if use_crop:
            augmentations.insert(0, T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
        if cfg.MODEL.LOAD_PROPOSALS:
            outside_subset("MODEL.LOAD_PROPOSALS")
        return {
            "is_train": is_train,
            "augmentations": augmentations,
            "image_format": cfg.INPUT.FORMAT,
            "use_instance_mask": cfg.MODEL.MASK_ON,
            "instance_mask_format": cfg.INPUT.MASK_FORMAT,
            "use_keypoint": cfg.MODEL.KEYPOINT_ON,
            "recompute_boxes": use_crop and cfg.MODEL.MASK_ON,
        }

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: the record; not changed.

        Returns:
            A copy with "image" ((C, H, W) uint8 tensor), "sem_seg" ((H, W) int64 tensor) if there
            is one, and in training "instances". In testing the annotations are left out.
        """
        dataset_dict = copy.deepcopy(dataset_dict)
        image = utils.read_image(dataset_dict["file_name"], format=self.image_format)
        utils.check_image_size(dataset_dict, image)
        sem_seg = None
        if "sem_seg_file_name" in dataset_dict:
            sem_seg = utils.read_image(dataset_dict.pop("sem_seg_file_name"), "L").squeeze(2)

        aug_input = T.AugInput(image, sem_seg=sem_seg)
        transforms = self.augmentations(aug_input)
        image, sem_seg = aug_input.image, aug_input.sem_seg
        image_shape = image.shape[:2]  # (h, w)
        # A contiguous copy: torch cannot share a flipped view.
        dataset_dict["image"] = torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if sem_seg is not None:
            dataset_dict["sem_seg"] = torch.as_tensor(sem_seg.astype("long"))
        if self.proposal_topk is not None:
            utils.transform_proposals(
                dataset_dict, image_shape, transforms, proposal_topk=self.proposal_topk
            )

        if not self.is_train:
            dataset_dict.pop("annotations", None)
            dataset_dict.pop("sem_seg_file_name", None)
            return dataset_dict
        if "annotations" in dataset_dict:
            self._transform_annotations(dataset_dict, transforms, image_shape)
        return dataset_dict

    def _transform_annotations(
        self, dataset_dict: dict, transforms: T.Transform, image_shape: tuple[int, int]
    ) -> None:
        """Replace "annotations" by "instances"; crowds and what became empty are left out."""
        annotations = dataset_dict.pop("annotations")
        for annotation in annotations:
            if not self.use_instance_mask:
                annotation.pop("segmentation", None)
            annotation.pop("keypoints", None)
        transformed = [
            utils.transform_instance_annotations(annotation, transforms, image_shape)
            for annotation in annotations
            if annotation.get("iscrowd", 0) == 0
        ]
        instances = utils.annotations_to_instances(
            transformed, image_shape, mask_format=self.instance_mask_format
        )
        if self.recompute_boxes:
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
        dataset_dict["instances"] = utils.filter_empty_instances(instances)
