import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model

from dvps_d2.cli import main
from dvps_d2.d2.submission import write_predictions
from dvps_d2.formats import class_table
from dvps_d2.formats.png import write_png


def contents(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def model_of():
    def make(cfg):
        torch.manual_seed(0)
        return build_model(cfg).eval()

    return make


def test_all_frames_are_written(tiny_cfg, model_of, tmp_path):
    cfg = tiny_cfg()
    write_predictions(cfg, model_of(cfg), "toy_street_val", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out/panoptic").iterdir()}
    assert len(names) == 2 * 6
    assert "000001_000005_synthstreet_000001_000005.png" in names
    assert {path.name for path in (tmp_path / "out/depth").iterdir()} == names


class KilledError(Exception):
    pass


@pytest.mark.parametrize("layout", [None, "vipseg"])
def test_an_interrupted_run_goes_on(tiny_cfg, model_of, tmp_path, layout):
    cfg = tiny_cfg()
    model = model_of(cfg)
    write_predictions(cfg, model, "toy_street_val", tmp_path / "whole", layout=layout)
    asked = []

    def stop_in_second_video(_, arguments):
        ((window,),) = arguments
        asked.append(window["video_id"])
        if window["video_id"] == "000001" and not window["is_first"]:
            raise KilledError

    hook = model.register_forward_pre_hook(stop_in_second_video)
    with pytest.raises(KilledError):
        write_predictions(cfg, model, "toy_street_val", tmp_path / "cut", layout=layout)
    hook.remove()
    model.eval()  # a new process starts without the half-seen video
    model = model_of(cfg)
    asked.clear()
    model.register_forward_pre_hook(lambda _, args: asked.append(args[0][0]["video_id"]))
    write_predictions(cfg, model, "toy_street_val", tmp_path / "cut", layout=layout)
    assert set(asked) == {"000001"}
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_another_model_does_not_go_on(tiny_cfg, model_of, tmp_path):
    cfg = tiny_cfg()
    write_predictions(cfg, model_of(cfg), "toy_street_val", tmp_path / "out", subset=1)
    other = tiny_cfg("MODEL.MASK_FORMER.TEST.WINDOW_SIZE", 2)
    with pytest.raises(ValueError, match=r"predictions of another run \(other config\)"):
        write_predictions(other, model_of(other), "toy_street_val", tmp_path / "out")


def test_what_does_not_fit_is_told_before_anything_is_predicted(tiny_cfg, model_of, tmp_path):
    cfg = tiny_cfg("MODEL.META_ARCHITECTURE", "MinVIS", "MODEL.DVPS.DEPTH.ENABLED", False)
    model = model_of(cfg)
    with pytest.raises(
        ValueError, match="holds depth, which MinVIS .* without depth are cityscapes"
    ):
        write_predictions(cfg, model, "toy_street_val", tmp_path / "out")
    with pytest.raises(ValueError, match="no layout 'coco'; there are cityscapes_dvps"):
        write_predictions(cfg, model, "toy_street_val", tmp_path / "out", layout="coco")
    with pytest.raises(ValueError, match="no dataset 'toy' is registered; there are .*vipseg_val"):
        write_predictions(cfg, model, "toy", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_predictions(cfg, model, "toy_street_val", tmp_path / "out", layout="vipseg", subset=1)
    (video,) = json.loads((tmp_path / "out/pred.json").read_text())["annotations"]
    assert len(video["annotations"]) == 6


def test_own_data_is_predicted_by_its_json(tiny_cfg, model_of, tmp_path):
    images = []
    for name in ("a", "b"):
        write_png(tmp_path / f"frames/{name}.png", np.full((64, 128, 3), 90, np.uint8))
        images.append({"id": name, "file_name": f"frames/{name}.png"})
    content = {
        "categories": class_table("cityscapes").categories(),
        "videos": [{"video_id": "garden", "width": 128, "height": 64, "images": images}],
        "annotations": [],
    }
    (tmp_path / "own.json").write_text(json.dumps(content))
    cfg = tiny_cfg("MODEL.WEIGHTS", str(tmp_path / "model.pth"))
    torch.save({"model": model_of(cfg).state_dict()}, cfg.MODEL.WEIGHTS)
    (tmp_path / "config.yaml").write_text(cfg.dump())
    arguments = [
        "--config-file", tmp_path / "config.yaml", "--dataset", "own_garden",
        "--own-data", tmp_path / "own.json", tmp_path, "--out", tmp_path / "out",
        "--archive", tmp_path / "own.zip",
    ]  # fmt: skip
    assert main(["predict", *map(str, arguments)]) == 0
    names = zipfile.ZipFile(tmp_path / "own.zip").namelist()
    assert names == ["pan_pred/garden/a.png", "pan_pred/garden/b.png", "pred.json"]
    DatasetCatalog.remove("own_garden")
    MetadataCatalog.remove("own_garden")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([], "one of the arguments --run --config-file is required", 2),
        (["--run", "nowhere"], "nowhere/config.yaml is missing", 1),
        (["--config-file", "nowhere.yaml"], "config nowhere.yaml does not exist", 1),
        (["--config-file", "configs/models/minvis_compact.yaml"], "names no MODEL.WEIGHTS", 1),
        (["--run", "x", "MODEL.DEVICE"], "come in pairs of KEY and VALUE", 1),
        (["--run", "x", "--subset", "0"], "--subset must be at least 1, got 0", 1),
        (
            ["--config-file", "configs/models/minvis_compact.yaml", "MODEL.NAME", "x"],
            "config override 'MODEL.NAME x': ",
            1,
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message, code, capsys, tmp_path):
    common = ["--dataset", "toy_street_val", "--out", str(tmp_path)]
    assert main(["predict", *common, *arguments]) == code
    assert message in capsys.readouterr().err


def test_a_config_that_is_no_yaml_is_named(tmp_path, capsys):
    config = tmp_path / "torn.yaml"
    config.write_text("MODEL: [1\n")
    common = ["--dataset", "toy_street_val", "--out", str(tmp_path)]
    assert main(["predict", *common, "--config-file", str(config)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"dvps predict: {config}: while parsing a flow sequence")
