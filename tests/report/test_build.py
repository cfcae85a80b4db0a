import json
import re

import numpy as np
import pytest

from dvps_d2.report import Limits, ReportSettings, write_report
from tests.report.drawings import CLASSES, COLORS, draw

GOOD = (["AARR", "AARR"], ["aaRR", "aaRR"])
BAD = (["AARR", "AARR"], ["RRaa", "RRbb"])


def write(path, drawn, protocol, **settings):
    settings = ReportSettings(**{"title": "toy", "dataset": "drawings", **settings})
    return write_report(path, drawn, protocol, CLASSES, COLORS, settings, quiet=True)


def embedded(html):
    found = re.findall(r'<script type="application/json" id="video-\d+">(.*?)</script>', html)
    return [json.loads(text) for text in found]


@pytest.fixture
def videos():
    return [draw("good", *GOOD), draw("bad", *BAD), draw("fine", *GOOD)]


def test_the_worst_videos_are_embedded(tmp_path, vps, videos):
    page = tmp_path / "deep" / "report.html"
    summary = write(page, videos, vps, videos=2)
    html = page.read_text()
    assert summary["videos"] == ["bad", "good", "fine"]
    assert [video["id"] for video in embedded(html)] == summary["embedded"] == ["bad", "good"]
    assert summary["bytes"] == page.stat().st_size
    assert summary["left_out"] == []
    assert html.index(">bad<") < html.index(">good<") < html.index(">fine<")


def test_chosen_videos_are_embedded(tmp_path, vps, videos):
    assert write(tmp_path / "r.html", videos, vps, chosen=("fine",))["embedded"] == ["fine"]
    with pytest.raises(ValueError, match="no video 'other' among the 3: bad, fine, good"):
        write(tmp_path / "r.html", videos, vps, chosen=("other",))


def test_what_does_not_fit_is_told_on_the_page(tmp_path, vps, videos):
    page = tmp_path / "r.html"
    size = len(json.dumps(embedded_sizes(tmp_path, vps, videos)[0]))
    summary = write(page, videos, vps, limits=Limits(max_bytes=int(1.5 * size)))
    assert summary["embedded"] == ["bad"]
    assert "2 of 3 videos did not fit" in summary["left_out"][0]
    assert "good, fine" in page.read_text().split('role="note">')[1].split("</div>")[0]


def embedded_sizes(tmp_path, vps, videos):
    write(tmp_path / "all.html", videos, vps, videos=None)
    return embedded((tmp_path / "all.html").read_text())


def test_a_video_that_does_not_fit_whole_is_cut(tmp_path, vps):
    video = draw("long", ["AARR"] * 9, ["aaRR"] * 9)
    whole = len(json.dumps(embedded_sizes(tmp_path, vps, [video])[0]))
    summary = write(tmp_path / "r.html", [video], vps, limits=Limits(max_bytes=int(0.8 * whole)))
    (shown,) = embedded((tmp_path / "r.html").read_text())
    assert 0 < len(shown["frames"]) < 9
    assert f"cut after {len(shown['frames'])} of 9 frames" in summary["left_out"][0]


def test_the_page_loads_nothing(tmp_path, vps, videos, pictures):
    page = tmp_path / "r.html"
    write(page, [*videos, draw("seen", *GOOD, images=pictures[:2])], vps, videos=None)
    html = page.read_text()
    assert "default-src 'none'" in html
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html)
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"https?://", html)
    assert "@import" not in html


def test_names_cannot_break_out_of_the_page(tmp_path, vps):
    name = "</script><script>alert(1)</script>{{ script }}"
    page = tmp_path / "r.html"
    write(page, [draw(name, *GOOD)], vps, title=name, notes=(name,))
    html = page.read_text()
    assert "alert(1)</script>" not in html
    assert embedded(html)[0]["id"] == name
    assert html.count("<script") == 3  # data, one video, code


def test_the_same_input_gives_the_same_bytes(tmp_path, vps, videos):
    pages = [tmp_path / name for name in ("a.html", "b.html")]
    for page in pages:
        write(page, videos, vps)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_page_that_fails_leaves_the_old_one(tmp_path, vps, videos):
    page = tmp_path / "r.html"
    page.write_text("old")
    with pytest.raises(ValueError, match="video 'odd', frame 0"):
        write(page, [*videos, draw("odd", ["AA"], ["aaa"])], vps)
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_videos_without_labels_are_shown_without_scores(tmp_path, vps):
    page = tmp_path / "r.html"
    summary = write(page, [draw("v", [None, None], ["aaRR", "aaRR"])], vps)
    html = page.read_text()
    assert summary["result"] is None
    assert "nothing is scored" in html
    assert "Scores</h2>" not in html
    assert embedded(html)[0]["frames"][0]["truth"] is None


def test_depth_is_embedded_and_scored(tmp_path, dvps):
    depth = np.full((1, 4), 10.0, np.float32), np.full((1, 4), 10.4, np.float32)
    page = tmp_path / "r.html"
    summary = write(page, [draw("v", *GOOD, depth=depth)], dvps)
    # over all four classes, two of which are there and right
    assert summary["result"]["dvpq"]["mean"]["all"] == pytest.approx(0.5)
    assert embedded(page.read_text())[0]["frames"][0]["true_depth"] is not None
    assert "3.8 %" in page.read_text()  # 0.4 / 10.4


def test_scores_without_videos(tmp_path, vps, videos):
    result = write(tmp_path / "a.html", videos, vps)["result"]
    page = tmp_path / "b.html"
    settings = ReportSettings(
        title="toy", dataset="drawings", curves={"losses": {"total": [(0, 2), (9, 1)]}}
    )
    summary = write_report(page, [], vps, CLASSES, COLORS, settings, result=result, quiet=True)
    assert summary["embedded"] == []
    assert "Loss, all terms" in page.read_text()
    assert percent_of(result) in page.read_text()


def percent_of(result):
    return f"<b>{100 * result['vpq']['mean']['all']:.1f}</b>"
