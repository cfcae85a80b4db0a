r"""Prepare Cityscapes-VPS: images, merged labels, panoptic labels, the ground-truth JSON of VPQ.

ROOT is the unpacked cityscapes-vps-dataset-1.0. The images of all 500 videos come from
Cityscapes' leftImg8bit_sequence (its val part), the labels of every 20th frame from gtFine.
Interrupted? Run the same command again.

example:
  python datasets/prepare_cityscapes_vps.py --root datasets/cityscapes_vps \
      --images cityscapes/leftImg8bit_sequence/val --gtfine cityscapes/gtFine/val
  python datasets/prepare_cityscapes_vps.py --root datasets/cityscapes_vps --check
"""

from __future__ import annotations

from dvps_d2.formats.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main("cityscapes_vps", __doc__))
