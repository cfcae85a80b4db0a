"""Registered meta-architectures: config -> parts, dictionaries <-> carriers; no mathematics."""

from .base import VideoMetaArch
from .query import MinDVPS, MinVIS

__all__ = ["MinDVPS", "MinVIS", "VideoMetaArch"]
