"""RoIAlign as a module."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import roi_align


class ROIAlign(nn.Module):
    """Average bilinear samples of a feature map over a grid of cells in each box.

    Source: He et al., Mask R-CNN, 2017, section 3.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool = True,
    ) -> None:
        """Set the geometry.

        Args:
            output_size: cells as (rows, columns), or one number for both.
            spatial_scale: feature pixels per image pixel.
            sampling_ratio: samples per cell and axis; 0 takes ceil(box side / cells).
            aligned: shift by half a pixel, so that samples sit where pixel centres are. False is
                the behaviour of older models.
        """
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Pool every box.

        Args:
            input: (N, C, H, W).
            rois: (K, 5) batch index and XYXY in image pixels; cast to the dtype of ``input``.

        Returns:
            (K, C, rows, columns).
        """
        assert rois.dim() == 2 and rois.size(1) == 5, f"rois must be (K, 5), got {rois.shape}"
        return roi_align(
            input,
            rois.to(input.dtype),
            self.output_size,
            self.spatial_scale,
            self.sampling_ratio,
            self.aligned,
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )
