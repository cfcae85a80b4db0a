import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dvps_d2.cli import main
from dvps_d2.formats import READERS
from dvps_d2.formats.submission import WRITERS
from tests.cli import conftest as drawn


def embedded(path):
    found = re.findall(r'id="video-\d+">(.*?)</script>', path.read_text())
    return [json.loads(text) for text in found]


def predict_truth(street_root, folder, layout="cityscapes_dvps", *, broken=("000001",)):
    """Predictions that are the truth, except that the cars of some videos are missing."""
    reader = READERS["cityscapes_dvps"]
    records = reader.load_records(street_root, "val")
    car = reader.categories.names.index("car")
    with WRITERS[layout](folder, records, reader.categories) as writer:
        for record in records:
            for frame in record["frames"]:
                label = reader.read_panoptic(frame)
                class_ids, tracks = label.class_ids.astype(int), label.track_ids
                if record["video_id"] in broken:
                    class_ids = np.where(class_ids == car, 0, class_ids)
                    tracks = np.where(class_ids == 0, 0, tracks)
                ids = np.where(class_ids == 255, 0, np.where(tracks > 0, tracks, class_ids + 1))
                pairs = zip(ids.ravel().tolist(), class_ids.ravel().tolist(), strict=True)
                classes = {i: c for i, c in set(pairs) if i}
                depth = reader.read_depth(frame)
                writer.add(record["video_id"], frame["frame_id"], ids, classes, depth)
    return folder


@pytest.fixture
def predictions(street_root, tmp_path):
    return predict_truth(street_root, tmp_path / "predictions")


@pytest.fixture
def by_folders(street_root, predictions, tmp_path):
    """Run the report on folders of street predictions; returns code and page."""

    def make(*more):
        page = tmp_path / "page.html"
        truth = street_root / "video_sequence" / "val"
        fixed = ["--protocol", "cityscapes_dvps", "--truth", truth, "--output", page]
        return main(["report", *map(str, (predictions, *fixed, *more))]), page

    return make


def test_folders_of_the_street(by_folders, capsys):
    code, page = by_folders("--classes", "street", "--videos", "all")
    assert code == 0
    worst, best = embedded(page)
    assert (worst["id"], best["id"]) == ("000001", "000000")
    shares = np.array([frame["shares"] for frame in best["frames"]])
    assert shares[:, 2:].max() == 0  # the truth itself
    assert best["switches"] == []
    wrong = np.array([frame["shares"] for frame in worst["frames"]])[:, 2:]
    assert wrong[:, 0].max() > 0  # cars are missed
    assert wrong[:, 1:].max() == 0
    assert all(frame["image"] and frame["depth"] for frame in best["frames"])
    told = capsys.readouterr().out
    assert f"written: {page}" in told
    assert "2 of 2 videos embedded" in told


def test_limits_of_what_is_embedded(by_folders):
    _, page = by_folders("--videos", "1", "--max-side", "64")
    (video,) = embedded(page)
    assert video["id"] == "000001"
    assert video["frames"][0]["size"] == [64, 32]
    _, page = by_folders("--video", "000000")
    assert [video["id"] for video in embedded(page)] == ["000000"]
    _, page = by_folders("--max-mb", "0.001")
    assert embedded(page) == []
    assert "did not fit into 0.001 MB" in page.read_text()


def test_a_registered_dataset_gives_the_same_scores(by_folders, toy_street, predictions, tmp_path):
    _, page = by_folders("--videos", "all")
    other = tmp_path / "other.html"
    args = [predictions, "--dataset", "toy_street_val", "--videos", "all", "--output", other]
    assert main(["report", *map(str, args)]) == 0
    first, second = embedded(page), embedded(other)
    assert [video["id"] for video in first] == [video["id"] for video in second]
    for ours, theirs in zip(first, second, strict=True):
        assert [f["shares"] for f in ours["frames"]] == [f["shares"] for f in theirs["frames"]]
        assert [f["depth"] for f in ours["frames"]] == [f["depth"] for f in theirs["frames"]]
    dvpq = [re.search(r"<dt>DVPQ</dt><dd><b>([\d.]+)", p.read_text())[1] for p in (page, other)]
    assert dvpq[0] == dvpq[1]


def test_listed_predictions_of_a_registered_dataset(toy_street, street_root, tmp_path):
    folder = predict_truth(street_root, tmp_path / "listed", "vipseg", broken=())
    page = tmp_path / "page.html"
    code = main(["report", str(folder), "--dataset", "toy_street_val", "--output", str(page)])
    assert code == 0
    assert "<dt>VPQ</dt>" in page.read_text()
    assert "<dt>DVPQ</dt>" not in page.read_text()  # this layout has no depth
    assert max(max(f["shares"][2:]) for video in embedded(page) for f in video["frames"]) == 0


@pytest.mark.parametrize("protocol", ["cityscapes_vps", "viper", "vipseg"])
def test_every_listed_layout(tmp_path, protocol):
    found = getattr(drawn, protocol)(tmp_path)
    page = tmp_path / "page.html"
    args = [found.pred, "--protocol", protocol, "--truth", found.truth, "--output", page]
    args += ["--truth-json", found.truth_json, "--pred-json", found.pred_json, "--videos", "all"]
    assert main(["report", *map(str, args)]) == 0
    videos = embedded(page)
    first, second = videos[0]["frames"][:2]
    assert first["image"] is None  # no pictures are drawn there
    assert first["shares"] == [0.9375, 0.0625, 0, 0, 0, 0]  # one pixel of 16 has no label
    # Two tracks are swapped: 7 pixels; a pixel of sky is road, another one has no label.
    assert second["shares"] == [0.4375, 0.0625, 0, 0, 0.0625, 0.4375]
    assert len(videos[0]["objects"]) == 2
    assert [switch[0] for switch in videos[0]["switches"]][:2] == [1, 1]


def test_pictures_are_looked_for_where_one_says(tmp_path):
    found = drawn.viper(tmp_path)
    args = [
        found.pred,
        "--protocol",
        "viper",
        "--truth",
        found.truth,
        "--images",
        tmp_path / "pics",
    ]
    args += ["--truth-json", found.truth_json, "--pred-json", found.pred_json]
    run = partial(main, ["report", *map(str, args), "--output", str(tmp_path / "page.html")])
    assert run() == 1  # no such folder
    for frame in range(2):
        path = tmp_path / "pics" / "001" / f"001_{frame:05}.png"
        drawn.write(path, np.full((64, 64, 3), 99, np.uint8))
    assert run() == 0
    assert embedded(tmp_path / "page.html")[0]["frames"][1]["image"].startswith("data:image/jpeg")


@pytest.fixture
def run_folder(tiny_cfg, tmp_path):
    """A run that was trained (with random weights) and evaluated."""
    import torch
    from detectron2.modeling import build_model

    cfg = tiny_cfg()
    torch.manual_seed(0)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(cfg.dump())
    torch.save({"model": build_model(cfg).state_dict()}, run / "model_final.pth")
    (run / "metrics.json").write_text(
        '{"iteration": 0, "total_loss": 9.0}\n{"iteration": 4, "total_loss": 5.0}\n'
    )
    return run


def test_a_run_without_predictions_says_how_to_get_them(run_folder, capsys):
    assert main(["report", str(run_folder)]) == 1
    told = capsys.readouterr().err
    assert "evaluation keeps scores and no predicted maps" in told
    for way in ("--predict", "dvps predict --run", "--scores-only"):
        assert way in told


def test_a_run_is_predicted_and_reported(run_folder):
    assert main(["report", str(run_folder), "--predict", "--videos", "1"]) == 0
    page = run_folder / "report.html"
    (video,) = embedded(page)
    assert len(video["frames"]) == 6
    scores = [score for frame in video["frames"] for score in frame["scores"].values()]
    assert scores
    assert all(0 <= score <= 1 for score in scores)
    assert "Loss, all terms and layers" in page.read_text()
    assert main(["report", str(run_folder), "--video", "000000"]) == 0  # they are there now
    assert [video["id"] for video in embedded(page)] == ["000000"]


def test_scores_alone(run_folder, by_folders, tmp_path, capsys):
    assert main(["report", str(run_folder), "--scores-only"]) == 1
    assert "--eval-only" in capsys.readouterr().err
    folder = run_folder / "inference" / "toy_street_val"
    folder.mkdir(parents=True)
    street = tmp_path / "scores.json"
    truth = by_folders()[1].parent / "predictions"
    args = ["--truth", _truth_of(run_folder), "--pred", truth / "panoptic"]
    args += ["--depth-pred", truth / "depth", "--output", street]
    assert main(["score", "cityscapes_dvps", *map(str, args)]) == 0
    (folder / "toy_street_val_scores.json").write_text(street.read_text())
    assert main(["report", str(run_folder), "--scores-only"]) == 0
    assert embedded(run_folder / "report.html") == []
    assert "scores only" in capsys.readouterr().out


def _truth_of(run_folder):
    from detectron2.data import DatasetCatalog

    return Path(DatasetCatalog.get("toy_street_val")[0]["frames"][0]["file_name"]).parent


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["nowhere"], "is not a folder"),
        (["."], "say what they belong to"),
        ([".", "--predict"], "it is not a training run"),
        ([".", "--truth", "x"], "--protocol and --truth go together"),
        ([".", "--protocol", "vipseg", "--truth", "x"], "needs --truth-json"),
        ([".", "--protocol", "vipseg", "--truth", "x", "--dataset", "y"], "leave out --dataset"),
        ([".", "--dataset", "y", "--videos", "some"], "must be a number or 'all'"),
        ([".", "--dataset", "y", "--max-side", "2"], "at least 16 pixels"),
        ([".", "--own-data", "a", "b"], "--own-data needs --dataset"),
    ],
)
def test_what_does_not_fit_together(tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *more]) == 1
    assert message in capsys.readouterr().err


def test_a_dataset_that_nobody_knows(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--dataset", "other"]) == 1
    assert "no dataset 'other' is registered; there are cityscapes_dvps" in capsys.readouterr().err


def test_predictions_of_half_a_dataset(toy_street, predictions, capsys):
    next((predictions / "panoptic").glob("000001_000003*")).unlink()
    assert main(["report", str(predictions), "--dataset", "toy_street_val"]) == 1
    assert "no prediction for 1 of 12 labelled frames: 000001/3" in capsys.readouterr().err


def test_help_has_examples(capsys):
    assert main(["report", "--help"]) == 0
    told = capsys.readouterr().out
    assert "dvps report output/demo --predict" in told
    assert main(["report"]) == 2
