"""Scores over training iterations, of one or several runs, as a picture.

    python benchmarks/learning_curves.py --output curves.png \
        "before=output/old" "after=output/street/mindvps_compact"

Reads ``metrics.json`` of runs that were scored on the way (``TEST.EVAL_PERIOD 150``, say). Needs
matplotlib (``pip install matplotlib``).
"""

import argparse
import json
from pathlib import Path

SCORES = {"vpq/all": "VPQ", "vpq/things": "VPQ, things", "dvpq/all": "DVPQ"}
Curve = list[tuple[int, float]]


def read_curves(run: Path) -> dict[str, Curve]:
    """Score name -> [(iterations, value 0..100), ...] of a run's folder."""
    file = run / "metrics.json"
    if not file.is_file():
        raise SystemExit(f"{run} is not a training run: expected {file}")
    curves: dict[str, Curve] = {name: [] for name in SCORES}
    for line in file.read_text().splitlines():
        row = json.loads(line)
        for name in SCORES:
            if name in row:
                curves[name].append((row["iteration"] + 1, row[name]))
    if not any(curves.values()):
        raise SystemExit(f"{file} holds no scores; train with TEST.EVAL_PERIOD 150")
    return curves


def draw(runs: dict[str, dict[str, Curve]], output: Path) -> None:
    """One panel per score, one line per run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(SCORES), sharex=True)
    for panel, (name, title) in zip(panels, SCORES.items(), strict=True):
        for label, curves in runs.items():
            panel.plot(*zip(*curves[name], strict=True), marker=".", label=label)
        panel.set(title=title, xlabel="iterations", ylim=(0, None))
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].legend(frameon=False)
    figure.savefig(output)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="LABEL=RUN")
    parser.add_argument("--output", type=Path, required=True, help=".png or .svg")
    args = parser.parse_args()
    runs = {}
    for pair in args.runs:
        label, separator, folder = pair.partition("=")
        if not separator:
            parser.error(f"expected LABEL=RUN, got {pair!r}")
        runs[label] = read_curves(Path(folder))
    draw(runs, args.output)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
