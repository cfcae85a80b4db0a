r"""Prepare SemKITTI-DVPS: put KITTI's images beside the released labels and depth maps.

ROOT holds the released video_sequence folder. The ready-made archive that holds the images too
needs no preparation, only the check.

example:
  python datasets/prepare_semkitti_dvps.py --root datasets/semkitti-dvps \
      --kitti kitti/sequences --how hardlink
  python datasets/prepare_semkitti_dvps.py --root datasets/semkitti-dvps --check
"""

from __future__ import annotations

from dvps_d2.formats.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main("semkitti_dvps", __doc__))
