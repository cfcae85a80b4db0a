"""SiamTrack against FuseTrack on the same frames, ResNet-50: frames per second and peak memory.

    python benchmarks/vpsnet_speed.py --json result.json

Frames of 1024 x 2048, as in the paper; the part that both systems share and that does not grow with
the frame (1000 proposals) weighs less there than in smaller ones. SiamTrack is Track at inference;
FuseTrack also needs the flow to the frame before. Weights are random and sure of everything they
see, so that as many things are drawn and tracked in every frame as ``--things`` allows. Each system
runs in a process of its own, so that peak memory (resident on CPUs, allocated on GPUs) is its own;
with ``--rounds`` above 1 the systems take turns and medians are over all rounds, so that no system
has the machine's busy minutes for itself. Targets, with FlowNet2 as the flow of FuseTrack:
``fps_ratio`` at least 2.5 and ``memory_ratio`` at most 0.75 (paper: 3.2 and 0.67, on a GPU);
``cpu_ratio`` is the ratio of CPU seconds, which other work disturbs less.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.projects.deeplab import add_deeplab_config

from dvps_d2.d2 import add_dvps_config
from dvps_d2.layers.flow_estimators import FlowNet2Flow
from dvps_d2.layers.flownet2 import FlowNet2
from dvps_d2.structures import Clip, StreamState

CONFIGS = Path(__file__).parents[1] / "configs/experiments/cityscapes_vps"
# Name in the table -> config, flow. Flow that is only read costs nothing here: "zero".
SYSTEMS = {
    "siamtrack": ("vpsnet_siamtrack_R50.yaml", "zero"),
    "fusetrack, FlowNet2": ("vpsnet_fusetrack_R50.yaml", "flownet2"),
    "fusetrack, RAFT": ("vpsnet_fusetrack_R50.yaml", "raft"),
    "fusetrack, cached flow": ("vpsnet_fusetrack_R50.yaml", "zero"),
}
WARM_UP = 1


class UntrainedRaft:
    """RAFT with random weights: as fast as with good ones."""

    def __init__(self) -> None:
        from torchvision.models.optical_flow import raft_large

        self.net = raft_large().eval()

    @torch.no_grad()
    def __call__(self, key, reference, pairs=None):
        self.net.to(key.device)
        return self.net(key / 127.5 - 1, reference / 127.5 - 1, num_flow_updates=12)[-1]


def untrained_flownet2() -> FlowNet2Flow:
    flow = FlowNet2Flow("none")
    flow.net = FlowNet2().eval().requires_grad_(False)
    return flow


def build(system: str, device: str, things: int = 20):
    """The pipeline of a system, with random weights."""
    config, flow = SYSTEMS[system]
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(CONFIGS / config))
    cfg.MODEL.DEVICE = device
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.VPSNET.FLOW.NAME = "zero"
    cfg.TEST.DETECTIONS_PER_IMAGE = things
    torch.manual_seed(0)
    pipeline = build_model(cfg).eval().pipeline
    if flow != "zero":
        estimator = untrained_flownet2() if flow == "flownet2" else UntrainedRaft()
        pipeline.segmenter.flow.estimator = estimator
    return pipeline


@torch.no_grad()
def measure(
    system: str, frames: int, size: tuple[int, int], device: str, things: int
) -> dict[str, list[float] | float]:
    """Seconds of every frame (wall and CPU) and peak memory in MiB of one system."""
    pipeline, state = build(system, device, things), StreamState()
    generator = torch.Generator().manual_seed(0)
    wall, cpu = [], []
    for t in range(WARM_UP + frames):
        image = torch.randn(3, *size, generator=generator).to(device)
        clip = Clip.from_frames([[image]], divisibility=32, frame_ids=[[t]], video_ids=["v"])
        started = time.perf_counter(), time.process_time()
        _, state = pipeline.step(clip, state)
        if device == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    if device == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "seconds": wall[WARM_UP:],
        "cpu_seconds": cpu[WARM_UP:],
        "memory": memory,
    }


def in_own_process(system: str, args: argparse.Namespace) -> dict[str, list[float] | float]:
    command = [sys.executable, __file__, "--only", system, "--frames", str(args.frames)]
    command += ["--size", *map(str, args.size), "--device", args.device]
    command += ["--things", str(args.things)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def middle(rounds: list[dict]) -> dict[str, float]:
    """Medians of seconds over all frames of all rounds, and the largest memory."""
    return {
        "seconds": statistics.median(s for found in rounds for s in found["seconds"]),
        "cpu_seconds": statistics.median(s for found in rounds for s in found["cpu_seconds"]),
        "memory": max(found["memory"] for found in rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=3, help="of a round, beside one to warm up")
    parser.add_argument("--rounds", type=int, default=1, help="in which the systems take turns")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), help="rows, columns")
    parser.add_argument("--things", type=int, default=20, help="drawn and tracked per frame")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", choices=SYSTEMS, help="measure one system; prints JSON")
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if args.only:
        found = measure(args.only, args.frames, tuple(args.size), args.device, args.things)
        print(json.dumps(found))
        return
    rounds: dict[str, list] = {system: [] for system in SYSTEMS}
    for _ in range(args.rounds):
        for system, measured in rounds.items():
            measured.append(in_own_process(system, args))
    found = {system: middle(measured) for system, measured in rounds.items()}
    print(f"{'':24} {'fps':>7} {'CPU s':>7} {'MiB':>7}")
    for system, row in found.items():
        fps = 1 / row["seconds"]
        print(f"{system:24} {fps:7.2f} {row['cpu_seconds']:7.2f} {row['memory']:7.0f}")
    ours, theirs = found["siamtrack"], found["fusetrack, FlowNet2"]
    result = {
        "fps_ratio": theirs["seconds"] / ours["seconds"],
        "cpu_ratio": theirs["cpu_seconds"] / ours["cpu_seconds"],
        "memory_ratio": ours["memory"] / theirs["memory"],
    }
    print("SiamTrack over FuseTrack with FlowNet2:", result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
