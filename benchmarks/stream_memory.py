"""Resident memory while a video streams through a system: frame 500 over frame 50.

    python benchmarks/stream_memory.py --json result.json
    python benchmarks/stream_memory.py --system siamtrack
    python benchmarks/stream_memory.py --system fusetrack

Windows of one frame, as a camera gives them. ``rss_ratio`` near 1 says that memory does not grow
with the video; the target is at most 1.05. Weights are random, and made so unsure that there is
something to track in every frame; trackers that learn remember MODEL.VPSNET.TRACK.CAPACITY objects.
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

CONFIGS = Path(__file__).parents[1] / "configs/experiments/street"
SYSTEMS = {
    "mindvps": "mindvps_compact.yaml",
    "siamtrack": "vpsnet_siamtrack_compact.yaml",
    "fusetrack": "vpsnet_fusetrack_compact.yaml",
}
EARLY = 50


def build(system: str) -> torch.nn.Module:
    """A model with random weights that sees segments all over the place."""
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(CONFIGS / SYSTEMS[system]))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD = 0.0
    cfg.MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD = 0.0
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.12
    cfg.MODEL.VPSNET.FUSION.MAJORITY = 1.1  # no instance becomes stuff
    # So few that the memory is full long before the first reading.
    cfg.MODEL.VPSNET.TRACK.CAPACITY = 100
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    if system != "mindvps":
        heads = model.pipeline.segmenter.detector.roi_heads
        heads.mask_head.predictor.bias.data.fill_(3)
    return model


def resident_mb() -> float:
    """Resident memory of this process now, in MiB."""
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--system", choices=SYSTEMS, default="mindvps")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if args.frames <= EARLY:
        parser.error(f"--frames must be more than {EARLY}")
    model = build(args.system)
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
