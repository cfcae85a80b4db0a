"""Each dataset from its download to its score.

A street is written in the dataset's layout and taken apart into what people download. Then, with
the commands that people use: prepare, check, train one step, predict, score.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model

from dvps_d2.cli import main
from dvps_d2.d2 import Trainer, build_clip_train_loader, register_video_dataset
from dvps_d2.d2.data import ClipMapper, ClipSampling, video_records
from dvps_d2.d2.submission import write_predictions
from dvps_d2.formats import READERS
from dvps_d2.formats.png import write_depth_png
from dvps_d2.formats.prepare.command import main as prepare
from dvps_d2.formats.viper import json_name as viper_json
from dvps_d2.formats.vipseg import json_name as vipseg_json
from dvps_d2.street import StreetConfig, StreetVideo, split_seed
from dvps_d2.street.layouts import LAYOUTS, StreetTree

ROOT = Path(__file__).resolve().parents[2]
FRAMES = {"train": 3, "val": 4}
VIDEOS = {"train": 2, "val": 1}
SEED = 5
# Tests render and train on frames of 64 x 128: sizes of the dataset's config, shrunk.
SMALL = [
    "INPUT.MIN_SIZE_TRAIN", (64, 64), "INPUT.MIN_SIZE_TEST", 0, "INPUT.CROP.SIZE", [48, 96],
    "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 20, "MODEL.MASK_FORMER.DENOISING.GROUPS", 0,
    # Enough steps that something is predicted whose score can be compared.
    "SOLVER.MAX_ITER", 40, "SOLVER.BASE_LR", 0.005, "SOLVER.LINEAR_DECAY_FRACTION", 0.1,
    "SOLVER.IMS_PER_BATCH", 2, "TEST.PICTURES", 0,
]  # fmt: skip


def config(split):
    return StreetConfig(height=64, width=128, frames=FRAMES[split])


def write_street(root, layout):
    tree = StreetTree(root, LAYOUTS[layout])
    for split, videos in VIDEOS.items():
        for index in range(videos):
            tree.write_video(config(split), split, index, SEED)
        tree.finish(split, videos)
    shutil.rmtree(root / ".street")
    return root


def truth(name, root, split):
    """(video, frame) -> label, of every labelled frame."""
    reader = READERS[name]
    return {
        (record["video_id"], frame["frame_id"]): reader.read_panoptic(frame)
        for record in reader.load_records(root, split)
        for frame in record["frames"]
        if frame["labelled"]
    }


# --- downloads ---------------------------------------------------------------------------------


def download_cityscapes_vps(street, root):
    """The release, Cityscapes' image sequences, Cityscapes' gtFine."""
    sequences, gtfine = root / "leftImg8bit_sequence/val", root / "gtFine/val"
    release = root / "cityscapes_vps"
    shutil.copytree(street, release)
    for path in (*release.glob("*/img/*.png"), *release.glob("*/img_all/*.png")):
        name = "_".join(path.name.split("_")[2 if path.parent.name == "img" else 0 : -1])
        target = sequences / name.rsplit("_", 2)[0] / f"{name}_leftImg8bit.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    for kind, suffix in (("cls", "gtFine_color"), ("inst", "gtFine_instanceIds")):
        for path in release.glob(f"*/{kind}/*_{suffix}.png"):
            name = "_".join(path.name.split("_")[2:])
            target = gtfine / name.rsplit("_", 4)[0] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    for made in ("img", "img_all", "labelmap", "panoptic_inst", "panoptic_video"):
        for folder in release.glob(f"*/{made}"):
            shutil.rmtree(folder)
    for path in release.glob("panoptic_gt_*.json"):
        path.unlink()
    return release, ["--images", sequences, "--gtfine", gtfine]


def download_cityscapes_dvps(vps, root):
    """The depth, and a prepared Cityscapes-VPS."""
    layout = LAYOUTS["cityscapes_vps"]
    for split, videos in VIDEOS.items():
        records = READERS["cityscapes_vps"].load_records(vps, split)
        for index in range(videos):
            video = StreetVideo(
                layout.video_config(config(split), split), split_seed(split, index, SEED)
            )
            labelled = [frame for frame in records[index]["frames"] if frame["labelled"]]
            for place, frame in enumerate(labelled):
                name = "_".join(Path(frame["file_name"]).stem.split("_")[2:-1])
                path = root / f"video_sequence/{split}/{index:06d}_{place:06d}_{name}_depth.png"
                write_depth_png(path, video.render(frame["frame_id"]).depth)
    return root, ["--vps", vps]


def download_viper(street, root):
    """Images, ``cls`` and ``inst``."""
    return write_street(root, "viper_raw"), []


def download_vipseg(street, root):
    """``imgs``, ``panomasks`` of raw numbers, and lists of videos."""
    return write_street(root, "vipseg_raw"), ["--rows", 64]


def download_semkitti_dvps(street, root):
    """Labels and depth, and the images of the KITTI odometry set."""
    shutil.copytree(street, root / "semkitti-dvps")
    for split, offset in (("train", 0), ("val", 8)):  # sequence 08 is the one that validates
        for path in sorted((root / "semkitti-dvps/video_sequence" / split).iterdir()):
            sequence, frame, rest = path.name.split("_", 2)
            sequence = f"{int(sequence) + offset:06d}"
            target = path.with_name(f"{sequence}_{frame}_{rest}")
            if rest == "leftImg8bit.png":
                target = root / "sequences" / sequence[-2:] / "image_2" / f"{frame}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return root / "semkitti-dvps", ["--kitti", root / "sequences"]


DOWNLOADS = {
    "cityscapes_vps": download_cityscapes_vps,
    "cityscapes_dvps": download_cityscapes_dvps,
    "viper": download_viper,
    "vipseg": download_vipseg,
    "semkitti_dvps": download_semkitti_dvps,
}


# --- prepared, checked, registered -------------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Folder of a prepared and checked dataset, registered as e2e_<name>_{train,val}."""
    done = {}

    def make(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            if name == "cityscapes_dvps":
                street = make("cityscapes_vps")
            else:
                street = write_street(folder / "street", name)
            root, options = DOWNLOADS[name](street, folder / "download")
            splits = ["--splits", "train", "val", "--workers", "0"]
            assert prepare(name, "", [str(a) for a in ("--root", root, *splits, *options)]) == 0
            assert main(["check", str(root), "--dataset", name]) == 0
            for split in VIDEOS:
                register_video_dataset(f"e2e_{name}_{split}", name, root, split)
            done[name] = root
        return done[name]

    yield make
    for name in done:
        for split in VIDEOS:
            DatasetCatalog.remove(f"e2e_{name}_{split}")
            MetadataCatalog.remove(f"e2e_{name}_{split}")


@pytest.fixture
def dataset_cfg(toy_street, tmp_path):
    """The tiny model on a dataset, with the inputs of the dataset's own config."""
    from tests.conftest import TINY, make_config

    def make(name, *overrides):
        model = "mindvps_compact" if name.endswith("dvps") else "minvis_compact"
        cfg = make_config(f"street/{model}.yaml")
        cfg.merge_from_file(str(ROOT / f"configs/datasets/{name}.yaml"))
        cfg.merge_from_list(TINY)
        cfg.merge_from_list(SMALL)
        cfg.merge_from_list(["OUTPUT_DIR", str(tmp_path / "run"), *overrides])
        cfg.DATASETS.TRAIN = (f"e2e_{name}_train",)
        cfg.DATASETS.TEST = (f"e2e_{name}_val",)
        return cfg

    return make


# Arguments of ``dvps score``, below the dataset's folder.
SCORED = {
    "cityscapes_vps": ("val/panoptic_video", "panoptic_gt_val_city_vps.json"),
    "cityscapes_dvps": ("video_sequence/val", None),
    "viper": ("val_day/panoptic_video", viper_json("val")),
    "vipseg": ("VIPSeg_720P/panomasksRGB", f"VIPSeg_720P/{vipseg_json('val')}"),
    "semkitti_dvps": ("video_sequence/val", None),
}


def score(name, root, out, file):
    labels, listing = SCORED[name]
    arguments = ["--truth", root / labels]
    if listing is not None:
        arguments += ["--truth-json", root / listing, "--pred", out, "--metrics", "vpq,stq"]
    else:
        arguments += ["--pred", out / "panoptic", "--depth-pred", out / "depth"]
        arguments += ["--metrics", "vpq,dvpq,stq,depth"]
    assert main(["score", name, *map(str, arguments), "--output", str(file)]) == 0
    return json.loads(file.read_text())


@pytest.mark.parametrize("name", DOWNLOADS)
def test_from_download_to_score(name, prepared, dataset_cfg, tmp_path):
    root = prepared(name)
    cfg = dataset_cfg(name)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    during = trainer._last_eval_results
    Path(cfg.OUTPUT_DIR, "config.yaml").write_text(cfg.dump())  # train_net.py does it at its start

    out = tmp_path / "predictions"
    arguments = ["--run", cfg.OUTPUT_DIR, "--dataset", f"e2e_{name}_val", "--out", str(out)]
    archive = tmp_path / "submission.zip"
    assert main(["predict", *arguments, "--archive", str(archive)]) == 0
    assert archive.stat().st_size > 0
    told = score(name, root, out, tmp_path / "scores.json")

    # The files hold what the evaluator saw during training.
    assert during["stq"]["sq"] > 0
    for part in ("stq", "aq", "sq"):
        assert 100 * told["stq"][part] == pytest.approx(during["stq"][part], abs=1e-6)
    vpq = told["vpq"]["mean"]["all"]
    assert 100 * vpq == pytest.approx(during["vpq"]["all"], abs=1e-6)
    if "depth" in told:
        assert told["depth"]["abs_rel"] == pytest.approx(during["depth"]["abs_rel"], rel=1e-2)


# --- what preparation must not change ----------------------------------------------------------


def partition(label):
    """A label with objects numbered by where they first appear."""
    _, first, numbers = np.unique(label.track_ids, return_index=True, return_inverse=True)
    return label.class_ids, first[numbers.reshape(label.shape)]


@pytest.mark.parametrize("name", ["cityscapes_vps", "viper", "vipseg", "semkitti_dvps"])
def test_prepared_labels_are_those_of_the_street(name, prepared, tmp_path):
    root = prepared(name)
    expected = truth(name, write_street(tmp_path / "street", name), "val")
    found = truth(name, root, "val")
    assert len(found) == FRAMES["val"]
    for ours, theirs in zip(found.values(), expected.values(), strict=True):
        assert ours.class_ids.max() > 0
        for a, b in zip(partition(ours), partition(theirs), strict=True):
            assert np.array_equal(a, b)


def test_frames_between_the_labelled_ones_are_there(prepared):
    prepared("cityscapes_vps")
    (video,) = video_records("e2e_cityscapes_vps_val")
    assert [frame["frame_id"] for frame in video["frames"]] == list(range(20))
    labelled = [frame["frame_id"] for frame in video["frames"] if frame["labelled"]]
    assert labelled == [4, 9, 14, 19]


def test_boxes_are_those_of_the_published_instance_list(prepared, tmp_path):
    """Read from ``panoptic_inst``, things have the ids, boxes and areas of the released JSON."""
    root = tmp_path / "vps"
    shutil.copytree(prepared("cityscapes_vps"), root)
    (root / "panoptic_gt_train_city_vps.json").unlink()
    listed = json.loads((root / "instances_train_city_vps_rle.json").read_text())
    register_video_dataset("e2e_boxes", "cityscapes_vps", root, "train")
    mapper = ClipMapper([], ClipSampling(1, 0), with_boxes=True)
    name_of = {image["id"]: image["file_name"] for image in listed["images"]}
    seen = 0
    for record in video_records("e2e_boxes"):
        for place in range(len(record["frames"])):
            (frame,) = mapper({**record, "frames": record["frames"][place : place + 1]}, 0)[
                "frames"
            ]
            things = frame["instances"]
            file_name = Path(frame["file_name"]).name
            expected = {
                a["inst_id"]: (*a["bbox"], a["area"], a["category_id"])
                for a in listed["annotations"]
                if name_of[a["image_id"]] == file_name
            }
            found = {}
            for n, track in enumerate(things.gt_track_ids.tolist()):
                x0, y0, x1, y1 = things.gt_boxes.tensor[n].tolist()
                area = int(things.gt_masks.tensor[n].sum())
                class_id = things.gt_classes[n].item() + 11
                found[track] = (x0, y0, x1 - x0, y1 - y0, area, class_id)
            assert found == expected
            seen += len(found)
    DatasetCatalog.remove("e2e_boxes")
    MetadataCatalog.remove("e2e_boxes")
    assert seen > 10


@pytest.mark.parametrize(
    ("name", "predicted"),
    [
        ("cityscapes_vps", ["0005_0025", "0005_0026", "0005_0027", "0005_0028"]),
        ("vipseg", ["00000300", "00000303", "00000306", "00000309"]),
        ("viper", ["001_00001", "001_00002", "001_00003", "001_00004"]),
        ("semkitti_dvps", ["000008_000000", "000008_000001", "000008_000002", "000008_000003"]),
    ],
)
def test_a_split_without_labels_is_predicted_and_not_scored(
    name, predicted, prepared, dataset_cfg, tmp_path
):
    root = tmp_path / name
    if name == "viper":  # the released form has no test split
        shutil.copytree(prepared(name) / "val" / "img", root / "test" / "img")
    else:
        shutil.copytree(prepared(name), root)
        make_test_split(name, root)
    register_video_dataset(f"e2e_{name}_test", name, root, "test")
    try:
        cfg = dataset_cfg(name)
        cfg.DATASETS.TEST = (f"e2e_{name}_test",)
        model = build_model(cfg).eval()
        assert not Trainer.test(cfg, model)
        writer = write_predictions(cfg, model, f"e2e_{name}_test", tmp_path / "out")
        files = sorted((writer.folder).rglob("pan*/**/*.png"))
        names = {"_".join(path.stem.split("_")[: predicted[0].count("_") + 1]) for path in files}
        assert sorted(names) == predicted
    finally:
        DatasetCatalog.remove(f"e2e_{name}_test")
        MetadataCatalog.remove(f"e2e_{name}_test")


def make_test_split(name, root):
    """Make the validation split of a prepared dataset a test split, as released: unlabelled."""
    if name == "cityscapes_vps":
        (root / "test").mkdir()
        for folder in ("img", "img_all"):
            (root / "val" / folder).rename(root / "test" / folder)
        (root / "im_all_info_val_city_vps.json").rename(root / "im_all_info_test_city_vps.json")
    elif name == "vipseg":
        content = json.loads((root / "VIPSeg_720P" / vipseg_json("val")).read_text())
        for video in content["annotations"]:
            for entry in video["annotations"]:
                entry["segments_info"] = []
        (root / "VIPSeg_720P" / vipseg_json("test")).write_text(json.dumps(content))
    else:
        (root / "video_sequence/val").rename(root / "video_sequence/test")
        for path in (root / "video_sequence/test").glob("*_gtFine_*"):
            path.unlink()


def test_pairs_on_cityscapes_vps_are_one_annotated_frame_apart(prepared, dataset_cfg):
    prepared("cityscapes_vps")
    pairs = ("INPUT.SAMPLING_FRAME_NUM", 2, "INPUT.SAMPLING_FRAME_RANGE", 1, "INPUT.BOXES", True)
    loader = iter(build_clip_train_loader(dataset_cfg("cityscapes_vps", *pairs)))
    for _ in range(4):
        for item in next(loader):
            first, second = item["frames"]
            assert second["frame_id"] - first["frame_id"] == 5
            assert first["image"].shape == second["image"].shape == (3, 48, 96)
            assert first["sem_seg"].shape == (48, 96)
            assert first["instances"].image_size == (48, 96)
