import json
import zipfile

import cv2
import numpy as np
import pytest

from dvps_d2.cli import main
from dvps_d2.formats import READERS
from dvps_d2.formats.files import write_json
from dvps_d2.formats.png import read_depth_png, read_png, rgb_to_id, write_depth_png, write_png
from dvps_d2.formats.prepare import cityscapes_vps, viper, vipseg
from dvps_d2.formats.submission import WRITERS

SIZE = (80, 120)


def drawing(frame, numbers=(7, 9)):
    """(classes, instances): road below, sky above, two cars driving to the right, void left."""
    classes, instances = np.full(SIZE, 10, np.uint8), np.zeros(SIZE, np.uint16)
    classes[28:] = 0
    for number, left in zip(numbers, (10, 62), strict=True):
        classes[26:60, left + frame : left + frame + 32] = 13
        instances[26:60, left + frame : left + frame + 32] = number
    classes[:, :3] = 255
    return classes, instances


def submit(name, root, split, folder):
    """Predict exactly the truth, under ids of our own."""
    reader = READERS[name]
    records = reader.load_records(root, split)
    with WRITERS[name](folder, records, reader.categories) as writer:
        for record in records:
            for frame in record["frames"]:
                if not frame["labelled"]:
                    ids = np.ones(SIZE, np.int32)
                    writer.add(record["video_id"], frame["frame_id"], ids, {1: 0})
                    continue
                label = reader.read_panoptic(frame)
                keys = label.track_ids.astype(np.int64) * 256 + label.class_ids
                values, ids = np.unique(keys, return_inverse=True)
                # The same segment gets the same id in all frames, whatever else is there.
                names = np.where(values == 255, 0, 1 + values % 999983)
                ids = names[ids.reshape(keys.shape)].astype(np.int32)
                classes = {int(i): int(v & 255) for i, v in zip(names, values, strict=True) if i}
                depth = reader.read_depth(frame) if frame["depth_file_name"] else None
                writer.add(record["video_id"], frame["frame_id"], ids, classes, depth)
    return writer


def score(tmp_path, *argv):
    """What ``dvps score`` writes."""
    path = tmp_path / "scores.json"
    assert main(["score", *map(str, argv), "--output", str(path)]) == 0
    return json.loads(path.read_text())


# --- one dataset of each layout --------------------------------------------------------------


@pytest.fixture
def dvps_root(tmp_path):
    folder = tmp_path / "data/video_sequence/val"
    for frame in range(6):
        classes, instances = drawing(frame)
        values = np.where(classes == 255, 32000, classes * np.uint16(1000) + instances)
        stem = f"000000_{frame:06d}_bonn_000000_{frame:06d}"
        write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((*SIZE, 3), np.uint8))
        write_png(folder / f"{stem}_gtFine_instanceTrainIds.png", values.astype(np.uint16))
        write_depth_png(folder / f"{stem}_depth.png", np.full(SIZE, 12.5))
    return tmp_path / "data"


@pytest.fixture
def vps_root(tmp_path):
    root = tmp_path / "data"
    colors = np.zeros((256, 3), np.uint8)
    colors[:19] = READERS["cityscapes_vps"].categories.colors
    for i in range(6):
        stem = f"0005_{25 + i:04d}_bonn_000000_{5 * i:06d}"
        classes, instances = drawing(i)
        write_png(root / f"val/img/{stem}_newImg8bit.png", np.zeros((*SIZE, 3), np.uint8))
        write_png(root / f"val/cls/{stem}_final_mask.png", colors[classes])
        objects = np.where(instances, 26000 + instances, 0).astype(np.uint16)
        write_png(root / f"val/inst/{stem}_original_image_instance_greyscale.png", objects)
    images = []
    for i in range(30):
        name = f"bonn_000000_{i - 4:06d}_leftImg8bit.png"
        write_png(root / f"val/img_all/{name}", np.zeros((*SIZE, 3), np.uint8))
        images.append({"id": 50001 + i, "file_name": name, "width": 120, "height": 80})
    write_json(root / "im_all_info_val_city_vps.json", {"images": images})
    cityscapes_vps.prepare(root, splits=["val"])
    return root


@pytest.fixture
def vipseg_root(tmp_path):
    for video in ("2_b", "1_a"):
        for i in range(3):
            classes, instances = drawing(i)
            mask = classes.astype(np.uint16) + 1
            mask[classes == 255] = 0
            mask[classes == 13] = 6100 + instances[classes == 13]
            path = tmp_path / f"data/imgs/{video}/{3 * i:08d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))
            write_png(tmp_path / f"data/panomasks/{video}/{3 * i:08d}.png", mask)
    (tmp_path / "data/val.txt").write_text("2_b\n1_a\n")
    vipseg.prepare(tmp_path / "data", rows=SIZE[0])
    return tmp_path / "data/VIPSeg_720P"


@pytest.fixture
def viper_root(tmp_path):
    root = tmp_path / "data"
    for number in range(1, 4):
        classes, instances = drawing(number)
        raw = np.zeros(256, np.uint8)
        raw[[0, 10, 13]] = 3, 2, 24  # road, sky, car
        stem = f"001/001_{number:05d}"
        path = root / f"val/img/{stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))
        write_png(root / f"val/cls/{stem}.png", raw[classes])
        planes = [np.where(instances, 24, 0), np.zeros(SIZE), instances]
        write_png(root / f"val/inst/{stem}.png", np.stack(planes, -1).astype(np.uint8))
    viper.prepare(root, splits=["val"])
    return root


@pytest.fixture
def semkitti_root(tmp_path):
    folder = tmp_path / "data/video_sequence/val"
    for frame in range(3):
        classes, instances = drawing(frame)
        classes = np.select([classes == 13, classes == 10], [0, 12], np.where(classes == 0, 8, 255))
        stem = f"000008_{frame:06d}"
        write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((*SIZE, 3), np.uint8))
        write_png(folder / f"{stem}_gtFine_class.png", classes.astype(np.uint8))
        write_png(folder / f"{stem}_gtFine_instance.png", instances)
        write_depth_png(folder / f"{stem}_depth_718.85.png", np.full(SIZE, 12.5))
    return tmp_path / "data"


# --- written, read back by the scorer, scored to 100 -----------------------------------------


def test_cityscapes_dvps(dvps_root, tmp_path):
    out = tmp_path / "out"
    submit("cityscapes_dvps", dvps_root, "val", out)
    name = "000000_000002_bonn_000000_000002.png"
    image = read_png(out / "panoptic" / name)
    assert image[0, 0].tolist() == [19, 0, 0]  # void
    assert image[79, 30].tolist() == [0, 0, 0]  # road
    assert {tuple(p) for p in image[30, 10:100].tolist()} == {(0, 0, 0), (13, 1, 0), (13, 2, 0)}
    assert read_depth_png(out / "depth" / name)[0, 0] == 12.5
    told = score(
        tmp_path, "cityscapes_dvps", "--truth", dvps_root / "video_sequence/val",
        "--pred", out / "panoptic", "--depth-pred", out / "depth",
    )  # fmt: skip
    # Road, sky and car of 19 classes occur; this protocol counts the others as 0.
    assert told["vpq"]["mean"]["all"] == pytest.approx(3 / 19)
    assert told["dvpq"]["0.1"]["mean"]["all"] == pytest.approx(3 / 19)
    assert told["depth"]["abs_rel"] == 0


def test_cityscapes_vps(vps_root, tmp_path):
    out = tmp_path / "out"
    writer = submit("cityscapes_vps", vps_root, "val", out)
    writer.archive(tmp_path / "submission.zip")
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        names = archive.namelist()
    assert names[:2] == [
        "pan_pred/0005_0025_bonn_000000_000000.png",
        "pan_pred/0005_0026_bonn_000000_000005.png",
    ]
    assert len(names) == 7  # six labelled frames of the 30, and pred.json
    entry = json.loads((out / "pred.json").read_text())["annotations"][0]
    assert sorted(entry["segments_info"][0]) == ["area", "bbox", "category_id", "id", "iscrowd"]
    ids = rgb_to_id(read_png(out / "pan_pred" / entry["file_name"]))
    for segment in entry["segments_info"]:
        x, y, width, height = segment["bbox"]
        rows, columns = np.nonzero(ids == segment["id"])
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
        assert segment["area"] == len(rows)
    told = score(
        tmp_path, "cityscapes_vps", "--truth", vps_root / "val/panoptic_video",
        "--truth-json", vps_root / "panoptic_gt_val_city_vps.json", "--pred", out,
    )  # fmt: skip
    assert told["vpq"]["mean"]["all"] == 1
    assert told["vpq"]["4"]["per_class"]["13"]["tp"] == 6  # 2 cars in 3 windows


def test_vipseg(vipseg_root, tmp_path):
    out = tmp_path / "out"
    submit("vipseg", vipseg_root, "val", out)
    assert (out / "pan_pred/1_a/00000003.png").is_file()
    content = json.loads((out / "pred.json").read_text())
    assert [video["video_id"] for video in content["annotations"]] == ["1_a", "2_b"]
    told = score(
        tmp_path, "vipseg", "--truth", vipseg_root / "panomasksRGB",
        "--truth-json", vipseg_root / "panoptic_gt_VIPSeg_val.json", "--pred", out,
    )  # fmt: skip
    assert told["vpq"]["mean"]["all"] == 1


def test_viper(viper_root, tmp_path):
    out = tmp_path / "out"
    submit("viper", viper_root, "val", out)
    told = score(
        tmp_path, "viper", "--truth", viper_root / "val_day/panoptic_video",
        "--truth-json", viper_root / "viper_panoptic_val_day_video.json", "--pred", out,
    )  # fmt: skip
    # All segments have the 1024 pixels that this protocol asks for.
    assert told["vpq"]["1"]["all"]["pq"] == 1


def test_semkitti_dvps(semkitti_root, tmp_path):
    out = tmp_path / "out"
    submit("semkitti_dvps", semkitti_root, "val", out)
    names = sorted(p.name for p in (out / "panoptic").iterdir())
    assert names[:2] == ["000008_000000_cat.png", "000008_000000_ins.png"]
    told = score(
        tmp_path, "semkitti_dvps", "--truth", semkitti_root / "video_sequence/val",
        "--pred", out / "panoptic", "--depth-pred", out / "depth",
    )  # fmt: skip
    assert told["vpq"]["1"]["all"]["pq"] == pytest.approx(3 / 19)


# --- mistakes --------------------------------------------------------------------------------


@pytest.fixture
def writer(dvps_root, tmp_path):
    reader = READERS["cityscapes_dvps"]
    records = reader.load_records(dvps_root, "val")
    return WRITERS["cityscapes_dvps"](tmp_path / "out", records, reader.categories)


def test_ids_and_frames_are_checked(writer):
    ids, depth = np.ones(SIZE, np.int32), np.ones(SIZE)
    with pytest.raises(ValueError, match="no frame 9 of video '000000'"):
        writer.add("000000", 9, ids, {1: 0}, depth)
    with pytest.raises(ValueError, match="frame 0: id 1 has no class"):
        writer.add("000000", 0, ids, {2: 0}, depth)
    with pytest.raises(ValueError, match=r"class id 19 is not one of 0\.\.18"):
        writer.add("000000", 0, ids, {1: 19}, depth)
    with pytest.raises(ValueError, match=r"ids must be in 1\.\.16777215"):
        writer.add("000000", 0, ids, {0: 3, 1: 3}, depth)
    with pytest.raises(ValueError, match="needs depth of .* got none"):
        writer.add("000000", 0, ids, {1: 0})
    writer.add("000000", 0, ids, {1: 0}, depth)
    with pytest.raises(ValueError, match="was added before"):
        writer.add("000000", 0, ids, {1: 0}, depth)


def test_missing_frames_are_told_at_the_end(writer):
    with pytest.raises(ValueError, match="5 of 6 frames were not added, first: frame 1"), writer:
        writer.add("000000", 0, np.ones(SIZE, np.int32), {1: 0}, np.ones(SIZE))


def test_an_error_inside_is_not_hidden(writer):
    with pytest.raises(RuntimeError, match="stop"), writer:
        raise RuntimeError("stop")


def test_more_tracks_than_the_layout_holds(writer):
    ids = np.arange(1, SIZE[0] * SIZE[1] + 1, dtype=np.int32).reshape(SIZE)
    with pytest.raises(ValueError, match="more than 255 tracks of class 'car'"):
        writer.add("000000", 0, ids, dict.fromkeys(range(1, 9601), 13), np.ones(SIZE))


def test_archives_of_the_same_files_are_the_same(writer, tmp_path):
    for frame in range(6):
        writer.add("000000", frame, np.ones(SIZE, np.int32), {1: 0}, np.ones(SIZE))
    writer.archive(tmp_path / "a.zip")
    writer.archive(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
