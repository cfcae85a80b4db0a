"""Results as text for people."""

from dvps_d2.metrics import format_result


def cell(value, without):
    return {**{group: {"pq": value} for group in ("all", "things", "stuff")}, "without_tp": without}


def test_classes_without_a_match_are_one_line_however_many_rows():
    mean = dict.fromkeys(("all", "things", "stuff"), 0.5)
    result = {
        "title": "Toy",
        "protocol": "toy",
        "as_published": False,
        "videos": 1,
        "frames": 2,
        "vpq": {1: cell(0.6, ["pole"]), 2: cell(0.4, ["pole", "rider"]), "mean": mean},
        "dvpq": {"0.5": {1: cell(0.3, ["pole"]), "mean": mean}, "mean": mean},
    }
    lines = format_result(result).splitlines()
    assert [line for line in lines if "without a match" in line] == [
        "0 because without a match, in how many of the 3 rows: pole 3, rider 1"
    ]
    result["vpq"] = {1: cell(0.6, []), "mean": mean}
    result["dvpq"] = {"mean": mean}
    assert "without a match" not in format_result(result)
