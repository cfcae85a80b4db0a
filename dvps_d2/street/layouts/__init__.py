"""Writers: a street video in the on-disk layout of a real dataset, so that real readers read it.

The test split has labels too: no server keeps them here. To add a layout, write a module with a
class that follows :class:`Layout`, and add it to ``LAYOUTS``.
"""

from dvps_d2.street.layouts.cityscapes_dvps import CityscapesDVPS
from dvps_d2.street.layouts.cityscapes_vps import CityscapesVPS
from dvps_d2.street.layouts.semkitti_dvps import SemKITTIDVPS
from dvps_d2.street.layouts.tree import Layout, StreetTree
from dvps_d2.street.layouts.viper import VIPER, RawVIPER
from dvps_d2.street.layouts.vipseg import RawVIPSeg, VIPSeg

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        CityscapesDVPS(),
        CityscapesVPS(),
        SemKITTIDVPS(),
        VIPER(),
        RawVIPER(),
        VIPSeg(),
        RawVIPSeg(),
    )
}

__all__ = ["LAYOUTS", "Layout", "StreetTree"]
