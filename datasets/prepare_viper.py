r"""Prepare VIPER for video panoptic segmentation from its raw img, cls and inst folders.

Name the sequences to use: published numbers are on some of the "day" sequences, and which those
are is on VIPER's download page, not in its files. Without --sequences all are converted.
The raw tree can also be trained on as it is, with no preparation.
Interrupted? Run the same command again.

example:
  python datasets/prepare_viper.py --root datasets/viper --splits val \
      --sequences 001 002 003 --frames 60
  python datasets/prepare_viper.py --root datasets/viper --check
"""

from __future__ import annotations

from dvps_d2.formats.prepare.command import main

if __name__ == "__main__":
    raise SystemExit(main("viper", __doc__))
