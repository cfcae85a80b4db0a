"""The result of ``metrics.summarize`` as the flat dictionary that Detectron2's hooks read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from dvps_d2.metrics import ClassSet

GROUPS = ("all", "things", "stuff")


def flatten_result(result: dict, classes: ClassSet) -> dict[str, dict[str, float]]:
    """Tasks of plain numbers: qualities in percent, NaN where undefined.

    Keys with "-" (``all-road``) hold one class each; Detectron2 leaves them out when it prints.

    Returns:
        ``{"vpq": {"all", "things", "stuff", "k1_all", ..., "all-<class>"},
        "dvpq": {the same, and "l0.10_all", ...}, "stq": {"stq", "aq", "sq", "sq-<class>"},
        "dstq": {"dstq", "dq_mean", "dq1.25", "stq", "aq", "sq"}, "depth": {"abs_rel", ...}}``.
    """
    tasks = {}
    if "vpq" in result:
        tasks["vpq"] = _windows([result["vpq"]], result["vpq"]["mean"], classes)
    if "dvpq" in result:
        parts = {k: v for k, v in result["dvpq"].items() if k != "mean"}
        tasks["dvpq"] = _windows(list(parts.values()), result["dvpq"]["mean"], classes)
        for value, part in parts.items():
            for group in GROUPS:
                tasks["dvpq"][f"l{float(value):.2f}_{group}"] = _percent(part["mean"][group])
    if "stq" in result:
        scores = result["stq"]
        tasks["stq"] = {name: _percent(scores[name]) for name in ("stq", "aq", "sq")}
        for i, name in enumerate(classes.names):
            tasks["stq"][f"sq-{name}"] = _percent(scores["per_class"].get(str(i), {}).get("iou"))
    if "dstq" in result:
        scores = result["dstq"]
        names = ("dstq", "dq_mean", "stq", "aq", "sq")
        tasks["dstq"] = {name: _percent(scores[name]) for name in names}
        tasks["dstq"] |= {f"dq{ratio}": _percent(v) for ratio, v in scores["dq"].items()}
    if "depth" in result:
        skip = ("images", "skipped", "reason")
        values = {k: v for k, v in result["depth"].items() if k not in skip}
        tasks["depth"] = {k: math.nan if v is None else v for k, v in values.items()}
    return tasks


def _windows(parts: list[dict], mean: dict, classes: ClassSet) -> dict[str, float]:
    values = {group: _percent(mean[group]) for group in GROUPS}
    for length in (key for key in parts[0] if key != "mean"):
        for group in GROUPS:
            values[f"k{length}_{group}"] = _mean(part[length][group]["pq"] for part in parts)
    for i, name in enumerate(classes.names):
        values[f"all-{name}"] = _mean(
            cell["per_class"].get(str(i), {}).get("pq") for cell in _cells(parts)
        )
    return values


def _cells(parts: list[dict]) -> Iterator[dict]:
    for part in parts:
        yield from (cell for key, cell in part.items() if key != "mean")


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return 100 * sum(known) / len(known) if known else math.nan


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value
