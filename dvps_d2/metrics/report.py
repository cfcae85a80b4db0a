"""Results as text for people."""

from __future__ import annotations

from collections import Counter

from dvps_d2.metrics.result import GROUPS


def format_result(result: dict, decimals: int = 2) -> str:
    """A table of a result of ``summarize``, in percent, under a line that names the protocol."""
    mode = "as the published script computes it" if result["as_published"] else "as documented"
    lines = [
        f"{result['title']} [{result['protocol']}, {mode}]",
        f"{result['videos']} videos, {result['frames']} frames",
    ]
    if "vpq" in result:
        lines += ["", *_window_rows("VPQ", result["vpq"], decimals)]
    for value, part in _lambdas(result):
        lines += ["", *_window_rows(f"DVPQ lambda={value}", part, decimals)]
    if "dvpq" in result:
        lines += ["", _row("DVPQ mean", result["dvpq"]["mean"], decimals)]
    for name in ("stq", "dstq"):
        if name in result:
            lines += ["", _score_line(name.upper(), result[name], decimals)]
    if "depth" in result:
        lines += ["", _depth_line(result["depth"])]
    if "ci" in result:
        lines += ["", *_interval_lines(result["ci"], decimals)]
    notes = _notes(result)
    return "\n".join([*lines, "", *notes] if notes else lines)


def _lambdas(result: dict) -> list[tuple[str, dict]]:
    return [(k, v) for k, v in result.get("dvpq", {}).items() if k != "mean"]


def _window_rows(title: str, part: dict, decimals: int) -> list[str]:
    rows = [f"{title:<24}{'all':>10}{'things':>10}{'stuff':>10}"]
    for length, cell in part.items():
        values = cell if length == "mean" else {g: cell[g]["pq"] for g in GROUPS}
        rows.append(_row("  mean" if length == "mean" else f"  k={length}", values, decimals))
    return rows


def _row(name: str, values: dict, decimals: int) -> str:
    return f"{name:<24}" + "".join(f"{_percent(values[g], decimals):>10}" for g in GROUPS)


def _percent(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{100 * value:.{decimals}f}"


def _score_line(name: str, scores: dict, decimals: int) -> str:
    shown = [k for k in ("dstq", "stq", "aq", "sq", "dq_mean") if k in scores]
    return f"{name:<24}" + "  ".join(f"{k} {_percent(scores[k], decimals)}" for k in shown)


def _depth_line(depth: dict) -> str:
    values = [
        f"{name} {'-' if value is None else f'{value:.4f}'}"
        for name, value in depth.items()
        if name not in ("images", "skipped", "reason", "abs_rel_by_window")
    ]
    return f"{'depth':<24}" + "  ".join(values)


def _interval_lines(ci: dict, decimals: int) -> list[str]:
    if "reason" in ci:
        return [f"no intervals: {ci['reason']}"]
    lines = [f"{100 * ci['level']:g} % intervals, {ci['samples']} bootstraps over videos"]
    rows = [
        ("VPQ mean", ci.get("vpq", {}).get("mean")),
        ("DVPQ mean", ci.get("dvpq", {}).get("mean")),
    ]
    rows += [(name.upper(), ci.get(name)) for name in ("stq", "dstq")]
    for title, values in rows:
        if values:
            shown = [f"{k} {_range(v, decimals)}" for k, v in values.items()]
            lines.append(f"  {title:<22}" + "  ".join(shown))
    return lines


def _range(interval: list[float] | None, decimals: int) -> str:
    return "-" if interval is None else "..".join(_percent(v, decimals) for v in interval)


def _notes(result: dict) -> list[str]:
    notes = []
    tables, unmatched = 0, Counter[str]()
    parts = [("VPQ", result["vpq"])] if "vpq" in result else []
    parts += [(f"DVPQ lambda={value}", part) for value, part in _lambdas(result)]
    for title, part in parts:
        for length, cell in part.items():
            if length == "mean":
                continue
            tables += 1
            unmatched.update(cell["without_tp"])
            for group in GROUPS:
                if "reason" in cell[group]:
                    notes.append(f"{title} k={length} {group}: {cell[group]['reason']}")
    if unmatched:
        names = ", ".join(f"{name} {count}" for name, count in unmatched.items())
        notes.insert(0, f"0 because without a match, in how many of the {tables} rows: {names}")
    for name in ("stq", "dstq", "depth"):
        if "reason" in result.get(name, {}):
            notes.append(f"{name}: {result[name]['reason']}")
    return notes
