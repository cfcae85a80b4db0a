"""Registered meta-architectures: config -> parts, dictionaries <-> carriers; no mathematics."""

from .base import VideoMetaArch
from .dvis import DVIS_offline, DVIS_online
from .query import MinDVPS, MinVIS
from .vpsnet import VPSNet

__all__ = ["DVIS_offline", "DVIS_online", "MinDVPS", "MinVIS", "VPSNet", "VideoMetaArch"]
