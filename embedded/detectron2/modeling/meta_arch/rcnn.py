"""Two-stage detection: features, proposals, detections."""

from __future__ import annotations

from torch import Tensor, nn

from detectron2._subset import outside_subset
from detectron2.config import configurable
from detectron2.modeling.backbone import Backbone, build_backbone
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.modeling.proposal_generator import build_proposal_generator
from detectron2.modeling.roi_heads import build_roi_heads
from detectron2.structures import ImageList, Instances

from ._images import ImageModel, _output_size
from .build import META_ARCH_REGISTRY

__all__ = ["GeneralizedRCNN"]


@META_ARCH_REGISTRY.register()
class GeneralizedRCNN(ImageModel):
    """Backbone, proposal generator, RoI heads (Faster R-CNN, Mask R-CNN)."""

    @configurable
    def __init__(
        self,
        *,
        backbone: Backbone,
        proposal_generator: nn.Module,
        roi_heads: nn.Module,
        pixel_mean: list[float],
        pixel_std: list[float],
        input_format: str | None = None,
        vis_period: int = 0,
    ) -> None:
        """Assemble the model.

        Args:
            backbone: images to features.
            proposal_generator: features to boxes.
            roi_heads: boxes to detections.
            pixel_mean: per channel, subtracted.
            pixel_std: per channel, divided by.
            input_format: "BGR" or "RGB", for those who draw.
            vis_period: 0; pictures during training are outside the subset.
        """
        super().__init__(pixel_mean, pixel_std)
        if vis_period > 0:
            outside_subset("drawing boxes during training (VIS_PERIOD)")
        if proposal_generator is None:
            outside_subset("precomputed proposals")
        self.backbone = backbone
        self.proposal_generator = proposal_generator
        self.roi_heads = roi_heads
        self.input_format = input_format
        self.vis_period = vis_period

    @classmethod
    def from_config(cls, cfg) -> dict:
        """Arguments from a config."""
        backbone = build_backbone(cfg)
        shape = backbone.output_shape()
        return {
            "backbone": backbone,
            "proposal_generator": build_proposal_generator(cfg, shape),
            "roi_heads": build_roi_heads(cfg, shape),
            "input_format": cfg.INPUT.FORMAT,
            "vis_period": cfg.VIS_PERIOD,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    def forward(self, batched_inputs: list[dict]) -> dict[str, Tensor] | list[dict]:
        """Train or detect.

        Args:
            batched_inputs: image (C, H, W); in training instances with gt_boxes, gt_classes and
                gt_masks; optionally height and width of the output.

        Returns:
            In training losses by name (those of detections first), else per image
            {"instances": Instances} with pred_boxes, scores, pred_classes and pred_masks.
        """
        if not self.training:
            return self.inference(batched_inputs)
        images = self.preprocess_image(batched_inputs)
        truth = self._ground_truth(batched_inputs)
        features = self.backbone(images.tensor)
        proposals, proposal_losses = self.proposal_generator(images, features, truth)
        _, detector_losses = self.roi_heads(images, features, proposals, truth)
        return {**detector_losses, **proposal_losses}

    def _ground_truth(self, batched_inputs: list[dict]) -> list[Instances] | None:
        """The instances of every image, on the device of the model."""
        if "instances" not in batched_inputs[0]:
            return None
        return [item["instances"].to(self.device) for item in batched_inputs]

    def inference(
        self,
        batched_inputs: list[dict],
        detected_instances: list[Instances] | None = None,
        do_postprocess: bool = True,
    ) -> list[dict] | list[Instances]:
        """Detect.

        Args:
            batched_inputs: as in ``forward``.
            detected_instances: per image, with pred_boxes and pred_classes: only add masks.
            do_postprocess: scale to the size of the output.

        Returns:
            As ``forward``; without ``do_postprocess`` the ``Instances`` in the size of the input.
        """
        assert not self.training, "inference is for evaluation mode"
        images = self.preprocess_image(batched_inputs)
        features = self.backbone(images.tensor)
        if detected_instances is None:
            proposals, _ = self.proposal_generator(images, features, None)
            results, _ = self.roi_heads(images, features, proposals, None)
        else:
            detected_instances = [one.to(self.device) for one in detected_instances]
            results = self.roi_heads.forward_with_given_boxes(features, detected_instances)
        if not do_postprocess:
            return results
        return GeneralizedRCNN._postprocess(results, batched_inputs, images.image_sizes)

    def preprocess_image(self, batched_inputs: list[dict]) -> ImageList:
        """Normalise and pad."""
        return self._batch_images(batched_inputs, self.backbone)

    @staticmethod
    def _postprocess(
        instances: list[Instances], batched_inputs: list[dict], image_sizes: list[tuple[int, int]]
    ) -> list[dict]:
        return [
            {"instances": detector_postprocess(one, *_output_size(item, size))}
            for one, item, size in zip(instances, batched_inputs, image_sizes, strict=True)
        ]
