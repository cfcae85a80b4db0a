"""Reading maps at points, and choosing the points.

Points are (x, y), normalised so that a map, or a box, spans 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from detectron2.layers import cat
from detectron2.structures import Boxes


def point_sample(input: Tensor, point_coords: Tensor, **kwargs) -> Tensor:
    """Read a map at points, zero outside.

    Args:
        input: (N, C, H, W).
        point_coords: (N, P, 2) or (N, h, w, 2).
        **kwargs: for ``grid_sample``; callers pass ``align_corners=False``.

    Returns:
        (N, C, P) or (N, C, h, w).
    """
    is_list = point_coords.dim() == 3
    grid = point_coords.unsqueeze(2) if is_list else point_coords
    output = F.grid_sample(input, 2.0 * grid - 1.0, **kwargs)
    return output.squeeze(3) if is_list else output


def generate_regular_grid_point_coords(R: int, side_size: int, device: torch.device) -> Tensor:
    """(R, side_size ** 2, 2) centres of the cells of a regular grid, row by row."""
    centres = (torch.arange(side_size, device=device, dtype=torch.float32) + 0.5) / side_size
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], dim=-1).view(1, -1, 2).expand(R, -1, -1).clone()


def get_uncertain_point_coords_with_randomness(
    coarse_logits: Tensor,
    uncertainty_func: Callable[[Tensor], Tensor],
    num_points: int,
    oversample_ratio: float,
    importance_sample_ratio: float,
) -> Tensor:
    """Draw points for training, most of them where a prediction is uncertain.

    Args:
        coarse_logits: (N, C, H, W).
        uncertainty_func: (N, C, P) logits -> (N, 1, P); larger is less certain.
        num_points: P, points to return per map.
        oversample_ratio: at least 1; P times this many candidates are drawn.
        importance_sample_ratio: share in 0..1 of the P points that are the most uncertain
            candidates; the others are drawn anew.

    Returns:
        (N, P, 2), uncertain points first.

    Source: Kirillov et al., PointRend, 2020, section 3.1 and figure 4.
    """
    assert oversample_ratio >= 1, f"oversample_ratio must be at least 1, got {oversample_ratio}"
    assert 0 <= importance_sample_ratio <= 1, (
        f"importance_sample_ratio must be within 0..1, got {importance_sample_ratio}"
    )
    count, device = coarse_logits.shape[0], coarse_logits.device
    candidates = torch.rand(count, int(num_points * oversample_ratio), 2, device=device)
    logits = point_sample(coarse_logits, candidates, align_corners=False)
    # The uncertainty of the sampled logits, not the sampled uncertainty: between a pixel of -1
    # and one of 1 the logit is 0, which is as uncertain as can be.
    uncertainty = uncertainty_func(logits)[:, 0]
    num_uncertain = int(importance_sample_ratio * num_points)
    chosen = uncertainty.topk(num_uncertain, dim=1).indices
    points = candidates.gather(1, chosen[:, :, None].expand(-1, -1, 2))
    num_random = num_points - num_uncertain
    if num_random > 0:
        points = cat([points, torch.rand(count, num_random, 2, device=device)], dim=1)
    return points


def get_uncertain_point_coords_on_grid(
    uncertainty_map: Tensor, num_points: int
) -> tuple[Tensor, Tensor]:
    """The most uncertain pixels of a map.

    Args:
        uncertainty_map: (N, 1, H, W).
        num_points: how many; at most H * W are returned.

    Returns:
        (N, P) indices into H * W, and (N, P, 2) pixel centres.
    """
    height, width = uncertainty_map.shape[-2:]
    flat = uncertainty_map.flatten(1)
    indices = flat.topk(min(height * width, num_points), dim=1).indices
    x = ((indices % width).float() + 0.5) / width
    y = ((indices // width).float() + 0.5) / height
    return indices, torch.stack([x, y], dim=2)


def point_sample_fine_grained_features(
    features_list: Sequence[Tensor],
    feature_scales: Sequence[float],
    boxes: Sequence[Boxes],
    point_coords: Tensor,
) -> tuple[Tensor, Tensor]:
    """Read feature maps at points that are given within boxes.

    Args:
        features_list: maps (N, C_i, H_i, W_i).
        feature_scales: of each map, feature pixels per image pixel.
        boxes: per image; R in all.
        point_coords: (R, P, 2) within the boxes.

    Returns:
        (R, sum of C_i, P) features, and (R, P, 2) points in image pixels.
    """
    counts = [len(one) for one in boxes]
    in_image = get_point_coords_wrt_image(Boxes.cat(list(boxes)).tensor, point_coords)
    per_image = in_image.split(counts)
    sampled = []
    for feature_map, scale in zip(features_list, feature_scales, strict=True):
        height, width = feature_map.shape[-2:]
        size = torch.tensor([width, height], device=feature_map.device) / scale
        rows = [
            # All points of an image as one list: (1, C, R_i * P) -> (R_i, C, P).
            point_sample(one[None], (points / size).view(1, -1, 2), align_corners=False)
            .view(one.shape[0], len(points), -1)
            .transpose(0, 1)
            for one, points in zip(feature_map, per_image, strict=True)
        ]
        sampled.append(cat(rows, dim=0))
    return cat(sampled, dim=1), in_image


def get_point_coords_wrt_image(boxes_coords: Tensor, point_coords: Tensor) -> Tensor:
    """(R, P, 2) points within (R, 4) XYXY boxes -> image pixels."""
    with torch.no_grad():
        low, high = boxes_coords[:, None, :2], boxes_coords[:, None, 2:]
        return point_coords * (high - low) + low
