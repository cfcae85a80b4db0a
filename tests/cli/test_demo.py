"""``dvps demo`` with a tiny untrained model, from arguments to files."""

import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("detectron2", reason="dvps demo runs models, which need Detectron2")

from dvps_d2.cli import main
from dvps_d2.visualize import VideoWriter, read_video

TINY = {
    "MODEL.DEVICE": "cpu",
    "MODEL.COMPACT_RESNET.WIDTH": 16,
    "MODEL.COMPACT_RESNET.BLOCKS": [1, 1, 1, 1],
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 32,
    "MODEL.SEM_SEG_HEAD.MASK_DIM": 32,
    "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS": 1,
    "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_FEEDFORWARD": 32,
    "MODEL.MASK_FORMER.HIDDEN_DIM": 32,
    "MODEL.MASK_FORMER.DIM_FEEDFORWARD": 32,
    "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES": 10,
    "MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD": 0.0,
    "MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD": 0.0,
}
SIZE = (48, 64)
ROOT = Path(__file__).resolve().parents[2]


def make_run(folder, name):
    """A training run's folder: config and untrained weights."""
    import torch
    from detectron2.modeling import build_model

    from dvps_d2.d2 import load_config

    options = [part for pair in TINY.items() for part in pair]
    cfg = load_config(ROOT / f"configs/experiments/street/{name}_compact.yaml", options)
    torch.manual_seed(0)
    folder.mkdir()
    torch.save({"model": build_model(cfg).state_dict()}, folder / "model_final.pth")
    (folder / "config.yaml").write_text(cfg.dump())
    return folder


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "mindvps", "mindvps")


@pytest.fixture
def clip(tmp_path):
    """Five frames of moving stripes, 10 per second."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 10, codec="mp4v") as video:
        for number in range(5):
            video.write(stripes(number))
    return path


def stripes(shift, size=SIZE):
    columns = (np.arange(size[1]) + 3 * shift) // 8 % 3
    return np.repeat((columns * 90).astype(np.uint8)[None, :, None], size[0], 0).repeat(3, 2)


def demo(*arguments):
    return main(["demo", *map(str, arguments)])


def entries(folder):
    listed = json.loads((folder / "predictions" / "pred.json").read_text())
    return listed["annotations"][0]["annotations"]


def test_a_video_becomes_a_film_ids_and_depth(tiny_run, clip, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = (clip, "--run", tiny_run, "--output", out, "--save", "overlay", "ids", "depth")
    assert demo(*arguments) == 0
    film = list(read_video(out / "overlay.mp4"))
    assert len(film) == 5
    assert film[0].shape[1] >= 400
    assert [entry["image_id"] for entry in entries(out)] == [f"{i:06}" for i in range(5)]
    depth = cv2.imread(str(out / "predictions/depth/000004.png"), cv2.IMREAD_UNCHANGED)
    assert depth.shape == SIZE
    assert depth.dtype == np.uint16
    assert depth.min() > 0
    assert "5 frames in" in capsys.readouterr().out
    # A second time only on purpose.
    assert demo(*arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert demo(*arguments, "--overwrite", "--max-frames", 2) == 0
    assert len(entries(out)) == 2
    assert len(list((out / "predictions/depth").iterdir())) == 2


def test_windows_do_not_change_what_is_predicted(tiny_run, clip, tmp_path):
    found = []
    for window in (1, 3):
        out = tmp_path / str(window)
        options = ("--opts", "MODEL.MASK_FORMER.TEST.WINDOW_SIZE", window)
        assert demo(clip, "--run", tiny_run, "--output", out, "--save", "ids", *options) == 0
        found.append(
            [(s["id"], s["category_id"]) for e in entries(out) for s in e["segments_info"]]
        )
    assert found[0] == found[1]
    assert len(found[0]) > 5


def test_ctrl_c_completes_the_files(tiny_run, clip, tmp_path, capsys, monkeypatch):
    from dvps_d2.d2.streaming import StreamingModel

    step = StreamingModel.step

    def interrupted(self, frames, state):
        if state is not None:
            signal.raise_signal(signal.SIGINT)
        return step(self, frames, state)

    monkeypatch.setattr(StreamingModel, "step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "out"
    options = ("--save", "overlay", "ids", "--opts", "MODEL.MASK_FORMER.TEST.WINDOW_SIZE", 2)
    assert demo(clip, "--run", tiny_run, "--output", out, *options) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert len(list(read_video(out / "overlay.mp4"))) == 4
    assert len(entries(out)) == 4
    printed = capsys.readouterr()
    assert "4 of 5 frames" in printed.out
    assert "files are being completed" in printed.err


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_damaged_frame(tiny_run, tmp_path, capsys, keep_going):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), stripes(number))
    (folder / "2.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    options = ["--keep-going"] if keep_going else []
    code = demo(folder, "--run", tiny_run, "--output", out, "--save", "ids", "overlay", *options)
    printed = capsys.readouterr()
    assert code == (0 if keep_going else 1)
    assert len(entries(out)) == (3 if keep_going else 2)
    assert len(list(read_video(out / "overlay.mp4"))) == (4 if keep_going else 2)  # time goes on
    named = printed.out if keep_going else printed.err
    assert "frame 2" in named
    assert "2.png is not a readable image" in named


def test_an_offline_model_and_a_second_model_beside_it(tiny_run, clip, tmp_path):
    clipwise = tmp_path / "clipwise"
    clipwise.mkdir()
    config = (tiny_run / "config.yaml").read_text()
    assert "SCOPE: frame" in config
    (clipwise / "config.yaml").write_text(config.replace("SCOPE: frame", "SCOPE: clip"))
    (clipwise / "model_average.pth").write_bytes((tiny_run / "model_final.pth").read_bytes())
    out = tmp_path / "out"
    assert demo(clip, "--run", tiny_run, "--compare", clipwise, "--output", out) == 0
    film = list(read_video(out / "overlay.mp4"))
    assert len(film) == 5
    assert film[0].shape[1] >= 2 * 400


def test_ground_truth_beside_it(tiny_run, street_root, tmp_path, capsys):
    pattern = f"{street_root}/video_sequence/val/000000_*_leftImg8bit.png"
    out = tmp_path / "out"
    compare = ("--compare", street_root, "--max-frames", 2)
    assert demo(pattern, "--run", tiny_run, "--output", out, *compare) == 0
    assert len(list(read_video(out / "overlay.mp4"))) == 2
    cv2.imwrite(str(tmp_path / "other.png"), stripes(0))
    code = demo(f"{tmp_path}/*.png", "--run", tiny_run, "--output", tmp_path / "no", *compare)
    assert code == 1
    assert "no frames named 'other'" in capsys.readouterr().err


def test_a_large_frame_is_shrunk(tiny_run, tmp_path):
    cv2.imwrite(str(tmp_path / "4k.png"), stripes(0, (2160, 3840)))
    out = tmp_path / "out"
    small = ("--opts", "INPUT.MIN_SIZE_TEST", 64)
    command = (tmp_path / "4k.png", "--run", tiny_run, "--output", out, "--save", "ids")
    assert demo(*command, *small) == 0
    assert entries(out)[0]["segments_info"]
    assert cv2.imread(str(out / "predictions/pan_pred/4k/4k.png")).shape == (1080, 1920, 3)


def test_mistakes_are_named_before_a_model_is_loaded(tiny_run, clip, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "file").touch()
    run = ("--run", tiny_run)
    for arguments, message in (
        ((tmp_path / "gone.mp4", *run), "gone.mp4 does not exist"),
        ((clip, *run, "--every", 0), "every must be at least 1"),
        ((clip, *run, "--start", 7), "start is frame 7, but clip has only 5 frames"),
        ((clip, *run, "--resize", "huge"), "resize must be"),
        ((clip, *run, "--show"), "no screen to show on"),
        ((clip, *run, "--save", "none"), "--show is needed"),
        ((clip, *run, "--save", "none", "ids"), "does not go with others"),
        ((clip, *run, "--opacity", 60), "--opacity must be in 0..1"),
        ((clip, *run, "--output", tmp_path / "file/out"), "cannot write here"),
        ((clip, *run, "--opts", "KEY"), "pairs of KEY and VALUE"),
        ((clip, "--run", tmp_path), "config.yaml is missing"),
        ((clip, *run, "--compare", tmp_path), "is the folder of a training run"),
    ):
        if "--output" not in arguments:
            arguments = (*arguments, "--output", tmp_path / "out")
        assert demo(*arguments) == 1, arguments
        assert message in capsys.readouterr().err


def test_arguments_that_do_not_parse_give_2(clip, capsys):
    assert demo(clip) == 2
    assert "--run" in capsys.readouterr().err
    assert demo("--help") == 0
    assert "dvps demo street.mp4 --run output/demo" in capsys.readouterr().out


def test_depth_of_a_model_without_it_is_refused(tmp_path, clip, capsys):
    run = make_run(tmp_path / "minvis", "minvis")
    out = tmp_path / "out"
    assert demo(clip, "--run", run, "--output", out, "--save", "depth") == 1
    assert "MinVIS predicts no depth" in capsys.readouterr().err
    assert demo(clip, "--run", run, "--output", out, "--max-frames", 1) == 0
    assert len(list(read_video(out / "overlay.mp4"))) == 1
