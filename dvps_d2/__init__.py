"""Depth-aware video panoptic segmentation for Detectron2.

Importing this package registers nothing and costs nothing. ``import dvps_d2.d2`` registers the
meta-architectures, backbones and datasets with Detectron2; everything else works without it.
"""

__version__ = "0.1.0"
