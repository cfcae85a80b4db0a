"""A result of ``metrics.summarize`` as HTML: tiles, tables, charts, bars per class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from dvps_d2.metrics import ClassSet
from dvps_d2.metrics.result import GROUPS
from dvps_d2.report.charts import Line, line_chart

DEPTH_WORDS = {
    "abs_rel": "relative error",
    "sq_rel": "squared relative error, m",
    "rmse": "RMSE, m",
    "rmse_log": "RMSE of log",
    "delta1": "within 1.25",
    "delta2": "within 1.25²",
    "delta3": "within 1.25³",
    "silog": "SILog × 100",
    "sq_error_rel": "mean squared relative error",
}


def percent(value: float | None) -> str:
    """0..1 as a percentage with one digit; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def tiles(result: dict, switches: int | None) -> str:
    """The numbers that one looks at first: (name, value, what is below it)."""
    shown: list[tuple[str, str, str]] = []
    for name in ("dvpq", "vpq"):
        if name in result:
            mean = result[name]["mean"]
            below = f"things {percent(mean['things'])} · stuff {percent(mean['stuff'])}"
            shown.append((name.upper(), percent(mean["all"]), below))
    for name in ("dstq", "stq"):
        if name in result:
            scores = result[name]
            below = f"AQ {percent(scores['aq'])} · SQ {percent(scores['sq'])}"
            shown.append((name.upper(), percent(scores[name]), below))
    if "depth" in result:
        depth = result["depth"]
        error = depth["abs_rel"]
        below = f"within 1.25: {percent(depth['delta1'])} %"
        shown.append(("Depth error", "–" if error is None else f"{100 * error:.1f} %", below))
    if switches is not None:
        shown.append(("Identity switches", str(switches), f"in {result['frames']} frames"))
    return "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd><b>{escape(value)}</b>'
        f"<span>{escape(below)}</span></dd></div>"
        for name, value, below in shown
    )


def score_tables(result: dict) -> str:
    """All numbers of a result."""
    tables = []
    parts = tube_parts(result)
    if parts:
        tables.append(_tube_table(parts, result))
    rows = []
    for name in ("dstq", "stq"):
        if name in result:
            keys = [k for k in ("dstq", "stq", "aq", "sq", "dq_mean") if k in result[name]]
            values = [(k.upper().replace("_", " "), percent(result[name][k])) for k in keys]
            values += [(f"DQ at {t}", percent(v)) for t, v in result[name].get("dq", {}).items()]
            rows.append((f"{name.upper()}, %", values))
    if "depth" in result:
        depth = result["depth"]
        values = [
            (words, "–" if depth[key] is None else f"{depth[key]:.3f}")
            for key, words in DEPTH_WORDS.items()
        ]
        rows.append((f"Depth, mean of {depth['images']} images", values))
    for title, values in rows:
        cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values)
        tables.append(f'<h3>{escape(title)}</h3><dl class="numbers">{cells}</dl>')
    return "".join(tables)


def tube_parts(result: dict) -> list[tuple[str, dict]]:
    """VPQ and DVPQ at every lambda: (name, windows and their mean)."""
    parts = [("VPQ", result["vpq"])] if "vpq" in result else []
    dvpq = result.get("dvpq", {})
    return parts + [(f"DVPQ λ = {value}", p) for value, p in dvpq.items() if value != "mean"]


def _tube_table(parts: list[tuple[str, dict]], result: dict) -> str:
    windows = [key for key in parts[0][1] if key != "mean"]
    head = "".join(f'<th scope="col">k = {k}</th>' for k in windows)
    bodies = []
    for group in GROUPS:
        rows = []
        for name, part in parts:
            cells = [percent(part[k][group]["pq"]) for k in windows]
            cells.append(percent(part["mean"][group]))
            rows.append((name, cells))
        if "dvpq" in result:
            mean = percent(result["dvpq"]["mean"][group])
            rows.append(("DVPQ, mean", [""] * len(windows) + [mean]))
        lines = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
            for name, cells in rows
        )
        span = len(windows) + 2
        title = f'<tr class="group"><th colspan="{span}" scope="rowgroup">{group}</th></tr>'
        bodies.append(f"<tbody>{title}{lines}</tbody>")
    return (
        '<div class="scroll"><table class="scores"><caption>Quality of tubes in %, by window of k '
        f'frames</caption><thead><tr><td></td>{head}<th scope="col">mean</th></tr></thead>'
        f"{''.join(bodies)}</table></div>"
    )


def score_charts(result: dict) -> list[str]:
    """VPQ and DVPQ over k, and DVPQ over lambda."""
    parts = tube_parts(result)
    if not parts:
        return []
    windows = [key for key in parts[0][1] if key != "mean"]
    charts = []
    if len(windows) > 1:
        lines = [
            Line(name, _known((float(k), part[k]["all"]["pq"]) for k in windows))
            for name, part in parts
        ]
        ticks = [(float(k), k) for k in windows]
        charts.append(("Quality over window length, %", lines, "frames in a window, k", ticks))
    dvpq = [(float(k), part) for k, part in result.get("dvpq", {}).items() if k != "mean"]
    if len(dvpq) > 1:
        dvpq.sort(key=lambda item: item[0])
        ticks = [(float(i), f"{value:g}") for i, (value, _) in enumerate(dvpq)]
        columns = [part["mean"] for _, part in dvpq]
        if "vpq" in result:
            ticks.append((float(len(dvpq)), "any (VPQ)"))
            columns.append(result["vpq"]["mean"])
        lines = [
            Line(group, _known((float(i), mean[group]) for i, mean in enumerate(columns)))
            for group in GROUPS
        ]
        label = "largest relative depth error that still counts, λ"
        charts.append(("DVPQ over depth threshold, %", lines, label, ticks))
    return [
        line_chart(title, lines, x_label=label, x_ticks=ticks, y_range=(0, 100))
        for title, lines, label, ticks in charts
        if any(line.points for line in lines)
    ]


def _known(points: Iterable[tuple[float, float | None]]) -> list[tuple[float, float]]:
    return [(x, 100 * y) for x, y in points if y is not None]


def class_values(result: dict, classes: ClassSet) -> dict[int, dict[str, float]]:
    """Quality of every class that occurs: class id -> {"VPQ", "DVPQ", "IoU"} in 0..1.

    VPQ is the mean over windows, DVPQ the mean over windows and lambdas.
    """
    sources = {"VPQ": [result["vpq"]] if "vpq" in result else []}
    sources["DVPQ"] = [part for k, part in result.get("dvpq", {}).items() if k != "mean"]
    found: dict[int, dict[str, float]] = {}
    for name, parts in sources.items():
        cells = [cell for part in parts for k, cell in part.items() if k != "mean"]
        for class_id in range(len(classes)):
            values = [
                c["per_class"][str(class_id)]["pq"]
                for c in cells
                if str(class_id) in c["per_class"]
            ]
            if values:
                found.setdefault(class_id, {})[name] = sum(values) / len(values)
    for class_id, entry in result.get("stq", {}).get("per_class", {}).items():
        found.setdefault(int(class_id), {})["IoU"] = entry["iou"]
    return found


def class_bars(result: dict, classes: ClassSet, colors: Sequence[Sequence[int]]) -> str:
    """Bars of every class, best first, things and stuff apart."""
    values = class_values(result, classes)
    things = set(classes.thing_ids)
    names = [n for n in ("VPQ", "DVPQ", "IoU") if any(n in v for v in values.values())]
    parts = []
    for title, members in (("Things", things), ("Stuff", set(values) - things)):
        chosen = sorted(members & set(values), key=lambda i: -values[i].get(names[0], 0.0))
        rows = "".join(_class_row(classes.names[i], colors[i], values[i], names) for i in chosen)
        if rows:
            head = "".join(f'<th scope="col">{name}</th>' for name in names)
            parts.append(
                f'<table class="bars"><caption>{title}</caption><thead><tr>'
                f'<th scope="col">class</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
            )
    return "".join(parts)


def _class_row(
    name: str, color: Sequence[int], values: dict[str, float], names: Sequence[str]
) -> str:
    cells = []
    for place, key in enumerate(names):
        value = values.get(key)
        width = 0.0 if value is None else 100 * value
        cells.append(
            f'<td><span class="bar s{place}" style="--part:{width:.1f}%"></span>'
            f"<span>{percent(value)}</span></td>"
        )
    red, green, blue = color
    swatch = f'<i class="swatch" style="background:rgb({red},{green},{blue})"></i>'
    return f'<tr><th scope="row">{swatch}{escape(name)}</th>{"".join(cells)}</tr>'


def training_charts(curves: dict) -> list[str]:
    """Losses and validation scores by iteration."""
    losses, scores = curves.get("losses", {}), curves.get("scores", {})
    parts = {
        "Loss, all terms and layers": {k: v for k, v in losses.items() if k == "total"},
        "Losses of the last layer": {k: v for k, v in losses.items() if k != "total"},
        "Validation scores, %": scores,
    }
    charts = []
    for title, named in parts.items():
        lines = [Line(name, points) for name, points in named.items() if points]
        if any(len(line.points) > 1 for line in lines):  # the only point is in the tables
            range_ = (0.0, 100.0) if named is scores else None
            few = all(len(line.points) <= 30 for line in lines)
            charts.append(line_chart(title, lines, x_label="iteration", y_range=range_, marks=few))
    return charts
