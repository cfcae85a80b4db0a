"""The flow beside a street is what the "files" estimator of VPSNet reads."""

import numpy as np
import torch

from dvps_d2.formats import READERS
from dvps_d2.formats.png import read_png
from dvps_d2.layers.flow import FramePair, warp
from dvps_d2.layers.flow_estimators import FileFlow
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

# Without noise, so that a point looks the same in both frames.
CONFIG = StreetConfig(height=64, width=128, frames=3, noise=0.0)


def test_warping_a_neighbour_by_the_file_gives_the_frame(tmp_path):
    layout = "cityscapes_dvps"
    tree = StreetTree(tmp_path, LAYOUTS[layout])
    tree.write_video(CONFIG, "val", 0, 0, with_flow=True)
    tree.finish("val", 1)
    (record,) = READERS[layout].load_records(tmp_path, "val")
    frames = [torch.from_numpy(image(frame)).permute(2, 0, 1) for frame in record["frames"]]
    numbers = [frame["frame_id"] for frame in record["frames"]]
    estimator = FileFlow(tmp_path / "flow/val")
    with np.load(tmp_path / f"flow/val/{record['video_id']}/truth.npz") as truth:
        visible = dict(zip(map(tuple, truth["pairs"].tolist()), truth["visible"], strict=True))
    for key, reference in ((1, 0), (1, 2)):
        seen = torch.from_numpy(visible[numbers[key], numbers[reference]])
        assert seen.float().mean() > 0.5
        errors = []
        for names in ((key, reference), (reference, key)):  # the second is the wrong direction
            pair = FramePair(record["video_id"], *(numbers[place] for place in names))
            flow = estimator(frames[key][None], frames[reference][None], [pair])
            warped = warp(frames[reference][None], flow)[0]
            errors.append((warped - frames[key]).abs().mean(0)[seen])
        still = (frames[reference] - frames[key]).abs().mean(0)[seen]
        assert errors[0].mean() < 0.5 * still.mean()
        assert errors[0].mean() < 0.4 * errors[1].mean()
        assert errors[0].median() < 4  # of 255


def image(frame):
    return read_png(frame["file_name"], channels=3).astype(np.float32)
