"""Resident memory while a video streams through MinDVPS: frame 500 over frame 50.

    python benchmarks/stream_memory.py --json result.json

Windows of one frame, as a camera gives them. ``rss_ratio`` near 1 says that memory does not grow
with the video; the target is at most 1.05.
"""

import argparse
import json
from pathlib import Path

import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config

from dvps_d2.d2 import add_dvps_config
from dvps_d2.street import PRESETS, StreetVideo, split_seed

CONFIG = Path(__file__).parents[1] / "configs/experiments/street/mindvps_compact.yaml"
EARLY = 50


def resident_mb() -> float:
    """Resident memory of this process now, in MiB."""
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if args.frames <= EARLY:
        parser.error(f"--frames must be more than {EARLY}")
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(CONFIG))
    cfg.MODEL.DEVICE = "cpu"
    # Random weights are unsure of everything; let them make segments all the same.
    cfg.MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD = 0.0
    cfg.MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD = 0.0
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    video = StreetVideo(PRESETS["quick"], split_seed("val", 0))
    images = [torch.from_numpy(frame.image.transpose(2, 0, 1).copy()) for frame in video]
    seen, segments = {}, 0
    for position in range(args.frames):
        item = {
            "video_id": "camera",
            "frames": [{"image": images[position % len(images)], "frame_id": position}],
            "position": position,
            "is_first": position == 0,
            "is_last": False,
        }
        (output,) = model([item])
        segments += sum(len(frame["panoptic_seg"][1]) for frame in output["frames"])
        if position + 1 in (EARLY, args.frames):
            seen[position + 1] = resident_mb()
            print(f"frame {position + 1:5d}: {seen[position + 1]:8.1f} MiB resident")
    ratio = seen[args.frames] / seen[EARLY]
    print(f"ratio {ratio:.3f} (target at most 1.05); {segments / args.frames:.1f} segments a frame")
    if args.json:
        args.json.write_text(json.dumps({"rss_ratio": ratio}) + "\n")


if __name__ == "__main__":
    main()
