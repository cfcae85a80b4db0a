"""``dvps score`` on submissions that a person can count; numbers of the published scripts."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from dvps_d2.cli import main

GROUPS = ("all", "things", "stuff")


def score(submission, protocol, *more):
    assert main(["score", protocol, *submission.args(*more)]) == 0
    return submission.result()


def percent(values, digits=4):
    picked = [values[g]["pq"] if isinstance(values[g], dict) else values[g] for g in GROUPS]
    return [round(100 * value, digits) for value in picked]


@pytest.mark.parametrize("mode", [(), ("--as-published",)], ids=["documented", "as published"])
def test_cityscapes_vps(make, mode):
    result = score(make.cityscapes_vps(), "cityscapes_vps", *mode)
    assert percent(result["vpq"]["1"]) == [92.5, 100, 88.75]
    assert percent(result["vpq"]["2"]) == [58.3333, 0, 87.5]
    assert percent(result["vpq"]["3"]) == [67.3096, 26.6667, 87.6311]
    assert percent(result["vpq"]["4"]) == [58.3333, 0, 87.5]
    assert percent(result["vpq"]["mean"]) == [69.1191, 31.6667, 87.8453]
    assert (result["videos"], result["frames"]) == (2, 12)
    assert result["as_published"] is bool(mode)
    assert result["vpq"]["1"]["all"]["classes"] == 3


def test_videos_are_told_apart_by_id_and_the_script_cuts_every_six_frames(make):
    """Videos of 4, 5 and 3 frames: the script takes two videos of 6 frames."""
    frames = ([0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 1])
    videos = dict(zip(("0005", "0015", "0025"), frames, strict=True))
    submission = make.cityscapes_vps(videos)
    assert score(submission, "cityscapes_vps")["videos"] == 3
    published = score(submission, "cityscapes_vps", "--as-published")
    assert (published["videos"], published["frames"]) == (2, 12)
    assert percent(published["vpq"]["mean"]) == [69.1191, 31.6667, 87.8453]


def test_where_the_script_stops_the_default_is_used(make):
    submission = make.cityscapes_vps({"0005": [0, 1]})
    result = score(submission, "cityscapes_vps", "--as-published")
    assert result["as_published"] is False
    assert "2 frames" in result["as_published_refused"]
    assert percent(result["vpq"]["1"]) == [92.5, 100, 88.75]
    assert result["vpq"]["3"]["all"]["pq"] is None
    assert result["vpq"]["3"]["all"]["reason"]


def test_predictions_in_another_order_are_found_by_name(make):
    submission = make.cityscapes_vps()
    submission.edit(submission.pred_json, lambda content: content["annotations"].reverse())
    assert percent(score(submission, "cityscapes_vps")["vpq"]["mean"])[0] == 69.1191


def test_predictions_without_names_are_paired_by_position(make):
    submission = make.cityscapes_vps()

    def drop_names(content):
        for entry in content["annotations"]:
            del entry["image_id"], entry["file_name"]

    submission.edit(submission.pred_json, drop_names)
    assert percent(score(submission, "cityscapes_vps")["vpq"]["mean"])[0] == 69.1191


def test_truth_area_is_that_of_the_pixels_and_as_published_that_of_the_json(make):
    submission = make.cityscapes_vps()

    def enlarge(content):
        for entry in content["annotations"]:
            for info in entry["segments_info"]:
                if info["category_id"] == 0:
                    info["area"] *= 2

    submission.edit(submission.truth_json, enlarge)
    documented = score(submission, "cityscapes_vps")
    assert percent(documented["vpq"]["1"]) == [92.5, 100, 88.75]
    road = score(submission, "cityscapes_vps", "--as-published")["vpq"]["1"]["per_class"]["0"]
    # Frame 1: 3 of (6 + 4 - 3 - 1) is not above one half; frame 2: 4 of (8 + 5 - 4) neither.
    assert (road["tp"], road["fp"], road["fn"]) == (0, 12, 12)


def test_viper(make):
    result = score(make.viper(), "viper", "--windows", "1,2")
    assert percent(result["vpq"]["1"]) == [75.5159, 85.7143, 70.4167]
    assert percent(result["vpq"]["2"]) == [58.3333, 0, 87.5]


def test_viper_leaves_class_11_out(make):
    submission = make.viper()

    def rename(content):
        for entry in content["annotations"] + content.get("categories", []):
            for info in entry.get("segments_info", [entry]):
                for key in ("id", "category_id"):
                    if info.get(key) == 10:
                        info[key] = 11

    for path in (submission.truth_json, submission.pred_json):
        submission.edit(path, rename)
    cell = score(submission, "viper", "--windows", "1")["vpq"]["1"]
    assert cell["per_class"]["11"]["pq"] == pytest.approx(0.875)
    assert cell["stuff"]["classes"] == 1
    assert cell["stuff"]["pq"] == pytest.approx(0.8 / 1.5)


def test_vipseg(make):
    submission = make.vipseg()
    result = score(submission, "vipseg")
    assert percent(result["vpq"]["1"]) == [93.1818, 100, 89.7727]
    for length in ("2", "4", "6"):
        assert percent(result["vpq"][length]) == [58.3333, 0, 87.5]
    assert percent(result["vpq"]["mean"])[0] == 67.0455
    assert "8" not in result["vpq"]
    assert [row["video_id"] for row in result["stq"]["per_video"]] == ["1_-a_b", "2_c"]


def test_vipseg_as_published(make):
    """The first listed truth segment, here a car, is taken for a crowd by the STQ script."""
    submission = make.vipseg()

    def cars_first(content):
        for video in content["annotations"]:
            for entry in video["annotations"]:
                entry["segments_info"].sort(key=lambda info: info["category_id"] != 13)

    submission.edit(submission.truth_json, cars_first)
    result = score(submission, "vipseg", "--as-published")
    assert percent(result["vpq"]["mean"]) == [65.303, 20, 87.9545]
    got = [round(result["stq"][name], 6) for name in ("stq", "aq", "sq")]
    assert got == [0.680445, 0.501435, 0.923362]


def test_cityscapes_dvps(make):
    result = score(make.cityscapes_dvps(), "cityscapes_dvps", "--lambdas", "0,0.1,0.25,0.5")
    assert percent(result["dvpq"]["0"]["1"])[0] == 13.8158
    assert percent(result["dvpq"]["0.1"]["1"])[0] == 13.7061
    assert percent(result["dvpq"]["0"]["2"])[0] == 12.5789
    assert result["dvpq"]["0.5"]["1"]["per_class"]["13"]["tp"] == 12
    cells = [result["dvpq"][name]["mean"]["all"] for name in ("0.1", "0.25", "0.5")]
    assert result["dvpq"]["mean"]["all"] == pytest.approx(sum(cells) / 3)
    assert result["vpq"]["mean"] == result["dvpq"]["0"]["mean"]


def test_cityscapes_dvps_as_published(make):
    result = score(make.cityscapes_dvps(), "cityscapes_dvps", "--as-published")
    cell = result["dvpq"]["0.5"]["1"]
    assert cell["all"]["pq"] is None
    assert "0 by 0" in cell["all"]["reason"]
    assert round(result["depth"]["abs_rel"], 6) == 0.009722


def test_cityscapes_dvps_as_published_with_wrapping_depth(make):
    more = ("--as-published", "--uint16-depth")
    result = score(make.cityscapes_dvps(), "cityscapes_dvps", *more)
    assert round(result["dvpq"]["0.5"]["1"]["per_class"]["0"]["pq"], 4) == 0.6667
    assert round(result["depth"]["abs_rel"], 4) == 1.7736


def test_cityscapes_dvps_without_depth_is_vpq(make):
    submission = make.cityscapes_dvps()
    for path in submission.depth.iterdir():
        path.unlink()
    submission.depth.rmdir()
    result = score(submission, "cityscapes_dvps")
    assert percent(result["vpq"]["1"])[0] == 13.8158
    assert "dvpq" not in result


def test_semkitti_dvps(make):
    """The same drawing with the cars as class 0: all classes count, sequences stay apart."""
    submission = make.semkitti(sequences=("000008", "000009"))
    result = score(submission, "semkitti_dvps", "--windows", "1,2")
    assert result["videos"] == 2
    assert percent(result["vpq"]["1"])[0] == pytest.approx(100 * (1 + 0.9 + 0.875) / 19, abs=1e-4)
    published = score(submission, "semkitti_dvps", "--windows", "1,2", "--as-published")
    assert published["videos"] == 1
    # Three windows of two frames instead of two: the third runs over the end of a sequence.
    assert [r["vpq"]["2"]["per_class"]["8"]["tp"] for r in (result, published)] == [2, 3]


def test_semkitti_dstq_drops_unlabelled_pixels(make):
    """Car a: 8 px with A's 8 + B's 7 - ...: void pixels do not enlarge predicted tubes."""
    result = score(make.semkitti(), "semkitti_dstq")["dstq"]
    # A: 4 px with a and 4 with b of 8; a has 4 + 3 labelled px, b 4 + 4.
    first = (4 * 4 / (8 + 7 - 4) + 4 * 4 / (8 + 8 - 4)) / 8
    # B: 3 px with a and 4 with b of 7.
    second = (3 * 3 / (7 + 7 - 3) + 4 * 4 / (7 + 8 - 4)) / 7
    assert result["aq"] == pytest.approx((first + second) / 2)
    assert result["dq"] == {"1.25": 1.0}
    assert result["dstq"] == pytest.approx((result["stq"] ** 2) ** (1 / 3))


def test_kitti_step(make):
    result = score(make.kitti_step(), "kitti_step")
    got = [round(result["stq"][name], 6) for name in ("aq", "sq", "stq")]
    assert got == [0.324134, 0.916667, 0.54509]
    assert list(result["stq"]["per_video"][0]) == ["video_id", "stq", "aq", "sq"]


@pytest.mark.parametrize("protocol", ["cityscapes_vps", "cityscapes_dvps", "kitti_step"])
def test_splitting_the_work_changes_nothing(make, protocol):
    submission = getattr(make, protocol)()
    one = score(submission, protocol)
    assert score(submission, protocol, "--workers", "2") == one


def test_per_video_and_intervals(make):
    submission = make.cityscapes_vps({"0005": [0, 0, 0], "0015": [1, 1, 1]})
    result = score(submission, "cityscapes_vps", "--per-video", "--ci", "--windows", "1")
    each = {row["video_id"]: row["vpq"]["mean"]["all"] for row in result["per_video"]}
    assert each["0005"] == pytest.approx((3 / 3 + 1 + 1) / 3)
    low, high = result["ci"]["vpq"]["mean"]["all"]
    assert low == pytest.approx(each["0015"])
    assert high == pytest.approx(each["0005"])


def test_intervals_are_printed(make, capsys):
    submission = make.cityscapes_vps({"0005": [0, 0, 0], "0015": [1, 1, 1]})
    score(submission, "cityscapes_vps", "--ci", "--windows", "1")
    assert "VPQ mean" in capsys.readouterr().out


def test_category_ids_that_the_truth_skips_enter_no_mean(make):
    """The script passes truth of an unnamed category over; the default names it."""
    submission = make.cityscapes_vps()

    def unnamed(content):
        for entry in content["annotations"]:
            entry["segments_info"][0]["category_id"] = 5

    submission.edit(submission.truth_json, unnamed)
    cell = score(submission, "cityscapes_vps", "--as-published")["vpq"]["1"]
    assert cell["all"]["classes"] == 3  # road, sky, car; not 5
    assert cell["per_class"]["5"]["fn"] == 12
    assert main(["score", "cityscapes_vps", *submission.args()]) == 1


def test_both_png_decoders_give_the_same_numbers(make, monkeypatch):
    pytest.importorskip("pywuffs", reason="pywuffs is optional")
    submission = make.cityscapes_dvps()
    fast = score(submission, "cityscapes_dvps")
    monkeypatch.setattr("dvps_d2.cli.scoring.png._wuffs", lambda: None)
    assert score(submission, "cityscapes_dvps") == fast


def test_one_video_has_no_interval(make):
    result = score(make.kitti_step(), "kitti_step", "--ci")
    assert "at least 2 videos" in result["ci"]["reason"]


def test_the_protocol_is_named_in_the_printed_table(make, capsys):
    score(make.vipseg(), "vipseg")
    printed = capsys.readouterr().out
    assert "vipseg, as documented" in printed
    assert "67.0" in printed


def test_neither_torch_nor_detectron2_is_imported(make):
    submission = make.cityscapes_vps()
    code = textwrap.dedent(
        f"""
        import sys
        sys.modules["torch"] = sys.modules["detectron2"] = None  # importing them would fail
        from dvps_d2.cli import main
        assert main(["score", "cityscapes_vps", *{submission.args()!r}]) == 0
        loaded = [name for name, module in sys.modules.items() if module is not None]
        assert not [n for n in loaded if n.split(".")[0] in ("torch", "detectron2", "scipy")]
        """
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
