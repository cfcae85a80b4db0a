"""Render SynthStreet into the on-disk layout of a real dataset: `dvps make-street`.

Example:
    python datasets/make_street.py --layout cityscapes_dvps --root datasets/street \
        --preset quick --train 400 --val 20 --workers 2
"""

import sys

from dvps_d2.cli import main

if __name__ == "__main__":
    sys.exit(main(["make-street", *sys.argv[1:]]))
