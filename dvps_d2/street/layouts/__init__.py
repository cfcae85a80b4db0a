"""Writers: a street video in the on-disk layout of a real dataset, so that real readers read it.

To add one, write a module with a class that has ``name``, ``splits``, ``video_config``,
``write_video`` and ``finish`` (see :class:`Layout`), and add it to ``LAYOUTS``.
"""

from dvps_d2.street.layouts.cityscapes_dvps import CityscapesDVPS
from dvps_d2.street.layouts.tree import Layout, StreetTree

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (CityscapesDVPS(),)}

__all__ = ["LAYOUTS", "Layout", "StreetTree"]
