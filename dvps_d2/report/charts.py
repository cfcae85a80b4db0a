"""Line charts as SVG text: readable without a script, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 36, 26, 12, 38
MOST_POINTS = 240  # of a line; longer ones are averaged


@dataclass(frozen=True)
class Line:
    """One line of a chart: its name, and (x, y) in order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    x_ticks: Sequence[tuple[float, str]] = (),
    y_range: tuple[float, float] | None = None,
    marks: bool = True,
) -> str:
    """A figure with a legend below it.

    Args:
        title: caption.
        lines: at least one point in all.
        x_label: below the axis.
        x_ticks: (x, text); chosen when empty.
        y_range: lowest and highest y; chosen when None.
        marks: draw the points, each with its numbers as a tooltip.
    """
    lines = [Line(line.name, thin(line.points, MOST_POINTS)) for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    if not xs:
        raise ValueError(f"chart {title!r} has no points")
    ticks = list(x_ticks) or [(x, f"{x:g}") for x in nice_ticks(min(xs), max(xs), 5)]
    low, high = y_range or (min(0.0, *ys), max(ys))
    y_ticks = nice_ticks(low, high, 5)
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])
    x_of = _scale(min(xs), max(xs), LEFT + 8, WIDTH - RIGHT - 8)
    y_of = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_grid(y_ticks, y_of), _axis(ticks, x_of, x_label)]
    for number, line in enumerate(lines):
        place = [(x_of(x), y_of(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place)
        parts.append(f'<polyline class="line s{number % 6}" points="{path}"/>')
        if marks:
            parts += [
                f'<circle class="dot s{number % 6}" cx="{px:.1f}" cy="{py:.1f}" r="3.5">'
                f"<title>{escape(line.name)}, {escape(_tick_text(ticks, x))}: {y:.1f}</title>"
                f"</circle>"
                for (px, py), (x, y) in zip(place, line.points, strict=True)
            ]
    summary = "; ".join(f"{line.name} ends at {line.points[-1][1]:.3g}" for line in lines)
    legend = "".join(
        f'<li><i class="key s{number % 6}"></i>{escape(line.name)}</li>'
        for number, line in enumerate(lines)
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}: '
        f'{escape(summary)}">{"".join(parts)}</svg><ul class="legend">{legend}</ul></figure>'
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers from at most ``low`` to at least ``high``; one if equal."""
    if low == high:
        return [low]
    rough = (high - low) / max(1, count - 1)
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most ``most`` points: averages of neighbours, the last point as it is."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / (most - 1))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    means = [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
    return [*means[:-1], points[-1]]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low
    if not span:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / span * (end - start)


def _grid(ticks: Sequence[float], y_of: Callable[[float], float]) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(y):.1f}" '
        f'y2="{y_of(y):.1f}"/><text x="{LEFT - 6}" y="{y_of(y) + 4:.1f}" '
        f'text-anchor="end">{y:g}</text>'
        for y in ticks
    )


def _axis(ticks: Sequence[tuple[float, str]], x_of: Callable[[float], float], label: str) -> str:
    base = HEIGHT - BOTTOM
    texts = "".join(
        f'<text x="{x_of(x):.1f}" y="{base + 16}" text-anchor="middle">{escape(text)}</text>'
        for x, text in ticks
        if LEFT <= x_of(x) <= WIDTH
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'{texts}<text class="axis" x="{middle:.0f}" y="{HEIGHT - 4}" '
        f'text-anchor="middle">{escape(label)}</text>'
    )


def _tick_text(ticks: Sequence[tuple[float, str]], x: float) -> str:
    return next((text for place, text in ticks if place == x), f"{x:g}")
