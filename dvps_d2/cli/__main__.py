"""``python -m dvps_d2.cli``."""

import sys

from dvps_d2.cli import main

sys.exit(main())
