"""Time and memory of DVIS on videos of growing length, R50, 240 x 432, random weights.

    python benchmarks/dvis_inference.py [--frames 8,16,32,64] [--json FILE]

Every line is a process of its own that streams one video in windows of three frames. Keys:

    online_slope_mb    peak memory per further frame, online, fusion per frame (aim: 0)
    online_growth      peak memory of the longest video over that of the shortest (aim: 1.1)
    offline_slope_mb   as online, offline, whole tubes, features in half precision (aim: at most 9);
                       offline_full_slope_mb in float32 (aim: at most 16) and
                       offline_recompute_slope_mb with frames that wait instead of features
    speedup            CPU seconds of the online model on plain PyTorch with every layer's
                       masks at full size, over those of the model as it is (aim: at least 1.35)
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config

from dvps_d2.d2 import add_dvps_config
from dvps_d2.layers import open_empty_rows
from dvps_d2.ops.path import use_path
from dvps_d2.segmenter import decoder

CONFIGS = Path(__file__).parents[1] / "configs" / "experiments" / "vipseg"
SIZE = (240, 432)
WINDOW = 3
STAGES = ("segmenter", "tracker", "refiner")


def make_model(mode: str, store: str) -> torch.nn.Module:
    """The published model with random weights, made to find some segments all the same."""
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(CONFIGS / f"dvis_{mode}_R50.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.DVPS.FUSION.SCOPE = "frame" if mode == "online" else "clip"
    cfg.MODEL.REFINER.FEATURE_STORE = store
    cfg.MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD = 0.02
    cfg.MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD = 0.0
    torch.manual_seed(0)
    return build_model(cfg).eval()


def windows(frames: int) -> Iterator[dict]:
    """Noise of one video; frames are made when they are wanted."""
    generator = torch.Generator().manual_seed(1)
    for start in range(0, frames, WINDOW):
        numbers = range(start, min(start + WINDOW, frames))
        images = [torch.randint(0, 256, (3, *SIZE), generator=generator) for _ in numbers]
        yield {
            "video_id": "noise",
            "frames": [
                {"image": image, "frame_id": number}
                for image, number in zip(images, numbers, strict=True)
            ],
            "position": start,
            "is_first": start == 0,
            "is_last": numbers[-1] == frames - 1,
        }


def stream(model: torch.nn.Module, frames: int) -> Iterator[torch.Tensor]:
    """Ids of every frame, in order."""
    for item in windows(frames):
        (output,) = model([item])
        for frame in output["frames"]:
            yield frame["panoptic_seg"][0]


def measure(mode: str, store: str, frames: int) -> dict[str, float]:
    """Stream one video in this process."""
    model = make_model(mode, store)
    spent = dict.fromkeys(STAGES, 0.0)
    for name in STAGES:
        stage = getattr(model.pipeline, name)
        if stage is not None:
            started: list[float] = []
            stage.register_forward_pre_hook(lambda *_, s=started: s.append(time.process_time()))
            stage.register_forward_hook(
                lambda *_, n=name, s=started: spent.__setitem__(
                    n, spent[n] + time.process_time() - s.pop()
                )
            )
    begin = time.process_time()
    count = sum(1 for _ in stream(model, frames))
    total = time.process_time() - begin
    assert count == frames
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rest = total - sum(spent.values())
    per_frame = {name: s / frames for name, s in {**spent, "fusion": rest}.items()}
    return {"peak_mb": peak, "seconds": total / frames, **per_frame}


@contextmanager
def masks_at_full_size() -> Iterator[None]:
    """Every layer's mask logits at the stride of the mask features, then resized per query."""
    kept = decoder.resize_for_attention, decoder.attention_mask

    def mask(embeds: torch.Tensor, level: tuple) -> torch.Tensor:
        features, size = level
        logits = torch.einsum("nqc,nchw->nqhw", embeds, features)
        return open_empty_rows(F.interpolate(logits, size=size, mode="bilinear").flatten(2) >= 0)

    decoder.resize_for_attention = lambda features, sizes: [(features, size) for size in sizes]
    decoder.attention_mask = mask
    try:
        yield
    finally:
        decoder.resize_for_attention, decoder.attention_mask = kept


def speedup(rounds: int = 3) -> tuple[float, float]:
    """Plain over fast, as the median of rounds in turns; and the share of equal pixels."""
    model = make_model("online", "half")
    list(stream(model, WINDOW))
    ratios, equal = [], 0.0
    for _ in range(rounds):
        begin = time.process_time()
        fast = list(stream(model, WINDOW))
        middle = time.process_time()
        with use_path("reference"), masks_at_full_size():
            plain = list(stream(model, WINDOW))
        ratios.append((time.process_time() - middle) / (middle - begin))
        equal = (torch.stack(fast) == torch.stack(plain)).double().mean().item()
    return statistics.median(ratios), equal


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", default="8,16,32,64", help="lengths of the videos")
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # mode, store, frames
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.one:
        mode, store, frames = args.one
        print(json.dumps(measure(mode, store, int(frames))))
        return
    lengths = [int(length) for length in args.frames.split(",")]
    results: dict[str, float] = {}
    cases = (("online", "half", "online"), ("offline", "half", "offline"),
             ("offline", "full", "offline_full"),
             ("offline", "recompute", "offline_recompute"))  # fmt: skip
    print(f"{'':18}{'frames':>7}{'MB peak':>9}{'s/frame':>9}   by stage")
    for mode, store, key in cases:
        peaks = []
        for frames in lengths:
            command = [sys.executable, __file__, "--one", mode, store, str(frames)]
            out = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            peaks.append(out["peak_mb"])
            stages = ", ".join(f"{name} {out[name]:.3f}" for name in (*STAGES, "fusion"))
            print(f"{key:18}{frames:7d}{peaks[-1]:9.0f}{out['seconds']:9.3f}   {stages}")
        if len(lengths) > 1:
            results[f"{key}_slope_mb"] = (peaks[-1] - peaks[0]) / (lengths[-1] - lengths[0])
        if mode == "online":
            results["online_growth"] = peaks[-1] / peaks[0]
    results["speedup"], equal = speedup()
    print("  ".join(f"{name} {value:.2f}" for name, value in results.items()))
    print(f"equal ids on {equal:.6f} of the pixels")
    if args.json:
        args.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
