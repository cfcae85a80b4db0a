r"""Prepare VIPSeg: scale to 720 rows and write RGB labels with their JSON.

ROOT is the download (imgs, panomasks, train.txt, val.txt, test.txt); the result is in
ROOT/VIPSeg_720P. The download can also be trained on as it is, at full size.
Interrupted? Run the same command again.

example:
  python datasets/prepare_vipseg.py --root datasets/VIPSeg --workers 8
  python datasets/prepare_vipseg.py --root datasets/VIPSeg --check
"""

from __future__ import annotations

from dvps_d2.formats.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main("vipseg", __doc__))
