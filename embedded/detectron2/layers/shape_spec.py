"""The little that a module says about a feature map before it exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ShapeSpec:
    """Shape of one feature map; every unknown is None.

    Attributes:
        channels: number of channels.
        height: rows.
        width: columns.
        stride: pixels of the network's input per pixel of this map.
    """

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None
