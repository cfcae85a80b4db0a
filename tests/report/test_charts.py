import re

import pytest

from dvps_d2.report.charts import Line, line_chart, nice_ticks, thin
from dvps_d2.report.curves import read_curves
from dvps_d2.report.tables import class_values, percent, training_charts
from tests.report.drawings import CLASSES


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 25, 50, 75, 100]),
        (1, 4, [1, 2, 3, 4]),
        (0.2, 0.9, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_and_reach_around(low, high, expected):
    assert nice_ticks(low, high, 5) == expected


def test_long_lines_are_averaged_and_end_where_they_end():
    points = thin([(float(i), 2.0 * i) for i in range(1000)], 100)
    assert len(points) <= 100
    assert points[0] == (5.0, 10.0)  # of 0..10
    assert points[-1] == (999.0, 1998.0)
    assert thin([(0, 1)], 100) == [(0, 1)]


def test_points_lie_on_their_scale():
    svg = line_chart("t", [Line("a", [(0, 0), (10, 50), (20, 100)])], x_label="x", y_range=(0, 100))
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg)
    xs, ys = [[float(place[i]) for place in places] for i in (0, 1)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert ys[1] - ys[0] == pytest.approx(ys[2] - ys[1])
    assert xs[0] < xs[2]
    assert ys[0] > ys[2]  # up is more
    assert "<title>a, 10: 50.0</title>" in svg


def test_names_cannot_break_out():
    svg = line_chart("<b>", [Line("<script>", [(0, 0), (1, 1)])], x_label="&")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg


def test_a_chart_without_points_is_refused():
    with pytest.raises(ValueError, match="no points"):
        line_chart("t", [Line("a", [])], x_label="x")


def test_curves_of_a_resumed_and_killed_run(tmp_path, caplog):
    path = tmp_path / "metrics.json"
    path.write_text(
        '{"iteration": 20, "total_loss": 2.0, "loss_mask": 1.5, "lr": 0.1}\n'
        '{"iteration": 40, "total_loss": 9.0, "vpq/all": NaN}\n'
        '{"iteration": 40, "total_loss": 1.0, "vpq/all": 30.5}\n'
        '{"iteration": 60, "total_lo'
    )
    curves = read_curves(path)
    assert curves["losses"] == {"total": [(20, 2.0), (40, 1.0)], "mask": [(20, 1.5)]}
    assert curves["scores"] == {"VPQ": [(40, 30.5)]}
    assert "line 4 is not JSON" in caplog.text
    assert read_curves(tmp_path / "none.json") == {"losses": {}, "scores": {}}


def test_single_points_make_no_chart():
    curves = {"losses": {"total": [(0, 1), (1, 2)]}, "scores": {"VPQ": [(5, 50)]}}
    (chart,) = training_charts(curves)
    assert "Loss, all terms and layers" in chart


def test_classes_average_over_windows_and_lambdas():
    def cell(quality):
        return {"per_class": {"3": {"pq": quality}}}

    result = {
        "vpq": {"1": cell(0.8), "2": cell(0.6), "mean": {}},
        "dvpq": {
            "0.5": {"1": cell(0.4), "mean": {}},
            "0.1": {"1": cell(0.2), "mean": {}},
            "mean": {},
        },
        "stq": {"per_class": {"0": {"iou": 0.9}}},
    }
    values = class_values(result, CLASSES)
    assert values[3] == {"VPQ": pytest.approx(0.7), "DVPQ": pytest.approx(0.3)}
    assert values[0] == {"IoU": 0.9}


def test_undefined_numbers_are_dashes():
    assert (percent(None), percent(0.12345)) == ("–", "12.3")
