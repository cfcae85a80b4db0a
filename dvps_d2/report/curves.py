"""Training curves out of a run's ``metrics.json``, one JSON object per line."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

logger = logging.getLogger(__name__)

Points = list[tuple[float, float]]  # (iteration, value), by iteration

LOSSES = {
    "total_loss": "total",
    "loss_class": "class",
    "loss_mask": "mask",
    "loss_dice": "dice",
    "loss_depth": "depth",
}
SCORES = {
    "vpq/all": "VPQ",
    "dvpq/all": "DVPQ",
    "dstq/dstq": "DSTQ",
    "stq/stq": "STQ",
}


def read_curves(path: str | Path) -> dict[str, dict[str, Points]]:
    """Losses and validation scores by iteration.

    A line that is cut off, as a killed run leaves it, is passed over with a warning; of two lines
    for one iteration (after a resume) the later counts. A run whose losses have other names shows
    its ``total_loss``.

    Returns:
        ``{"losses": {name: points}, "scores": {name: points}}``; empty without the file.
    """
    path = Path(path)
    if not path.is_file():
        return {"losses": {}, "scores": {}}
    found: dict[str, dict[int, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            logger.warning("%s, line %d is not JSON and is passed over", path, number)
            continue
        for key, value in row.items():
            known = key in LOSSES or key in SCORES
            if known and isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(key, {})[int(row["iteration"])] = float(value)
    return {
        kind: {
            name: sorted((float(i), value) for i, value in found[key].items())
            for key, name in names.items()
            if key in found
        }
        for kind, names in (("losses", LOSSES), ("scores", SCORES))
    }
