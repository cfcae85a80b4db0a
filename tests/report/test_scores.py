import pytest

from dvps_d2.report.scores import main_score, of_one_video, score_video, total_result, worst_first
from tests.report.drawings import CAR, CLASSES, ROAD, draw


def test_videos_come_worst_first_and_unscored_last(vps):
    videos = [
        draw("good", ["AARR"], ["aaRR"]),
        draw("unlabelled", [None], ["aaRR"]),
        draw("bad", ["AARR"], ["RRaa"]),
        draw("middling", ["AARR"], ["RRRR"]),
    ]
    scored = [score_video(video, vps, CLASSES) for video in videos]
    ordered = worst_first(scored)
    assert [one.video.video_id for one in ordered] == ["bad", "middling", "good", "unlabelled"]
    # middling: the car is missed (0), the road has IoU 2 / 4, which is no match (0)
    assert [one.value for one in ordered] == [0.0, 0.0, 1.0, None]


def test_a_class_that_a_video_lacks_does_not_pull_it_down(dvps):
    assert dvps.mean_over == "all"
    changed = of_one_video(dvps, len(CLASSES))
    assert changed.mean_over == "occurring"
    assert changed.left_out == ()


def test_classes_outside_the_evaluation_stay_outside(dvps):
    from dataclasses import replace

    changed = of_one_video(replace(dvps, eval_classes=(ROAD, CAR)), len(CLASSES))
    assert changed.left_out == (1, 2)


def test_the_total_is_that_of_all_videos(vps):
    scored = [
        score_video(draw("a", ["AA"], ["aa"]), vps, CLASSES),
        score_video(draw("b", ["AA"], ["pp"]), vps, CLASSES),
    ]
    result = total_result(scored, vps, CLASSES)
    # car: one match and one miss; person: one false positive
    assert result["vpq"]["1"]["per_class"]["3"]["pq"] == pytest.approx(1 / 1.5)
    assert result["vpq"]["1"]["per_class"]["2"]["pq"] == 0
    assert (result["videos"], result["frames"]) == (2, 2)


def test_nothing_labelled_gives_no_total(vps):
    assert (
        total_result([score_video(draw("a", [None], ["aa"]), vps, CLASSES)], vps, CLASSES) is None
    )


def test_a_bad_frame_is_named(vps):
    with pytest.raises(ValueError, match="video 'v', frame 0: prediction is 1 x 3"):
        score_video(draw("v", ["AA"], ["aaa"]), vps, CLASSES)


def test_the_main_score_is_the_first_there_is():
    assert main_score({"vpq": {"mean": {"all": 0.5}}, "stq": {"stq": 0.1}}) == ("VPQ", 0.5)
    assert main_score({"stq": {"stq": None}}) == ("STQ", None)
    with pytest.raises(ValueError, match="one of vpq, dvpq"):
        main_score({"depth": {}})
