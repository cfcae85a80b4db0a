r"""Prepare Cityscapes-DVPS: add images and labels to the released depth maps.

ROOT holds the released video_sequence folder; images and labels are taken from Cityscapes-VPS,
which must be prepared first (prepare_cityscapes_vps.py). The ready-made archive that holds all
three kinds of files needs no preparation, only the check.
Interrupted? Run the same command again.

example:
  python datasets/prepare_cityscapes_dvps.py --root datasets/cityscapes-dvps \
      --vps datasets/cityscapes_vps
  python datasets/prepare_cityscapes_dvps.py --root datasets/cityscapes-dvps --check
"""

from __future__ import annotations

from dvps_d2.formats.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main("cityscapes_dvps", __doc__))
