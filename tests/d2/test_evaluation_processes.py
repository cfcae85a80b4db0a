"""The evaluator on two processes: tables travel, and a rank may have no video at all."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import json, sys
    import numpy as np, torch
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.engine import launch
    from detectron2.utils import comm
    from dvps_d2.d2.evaluation import build_evaluator, video_panoptic
    from dvps_d2.formats import PanopticLabel
    from dvps_d2.metrics import ClassSet

    SPLITS = {"even": (["a", "b"], ["c"]), "all on one": (["a", "b", "c"], []),
              "overlap": (["a", "b", "c"], ["c"]), "one missing": (["a"], ["c"])}

    class Reader:
        categories = ClassSet(("road", "car"), (1,))

        def read_panoptic(self, frame):
            classes = np.array([[0, 0, 1, 1]], np.uint8)
            return PanopticLabel(classes, classes.astype(np.int32))

    def output(video):
        ids = torch.tensor([[1, 1, 2, 2 if video == "a" else 1]])
        info = [{"id": 1, "category_id": 0}, {"id": 2, "category_id": 1}]
        frames = [{"frame_id": i, "panoptic_seg": (ids, info)} for i in range(2)]
        return {"video_id": video, "frames": iter(frames)}

    def main(path):
        video_panoptic.READERS["drawn"] = Reader()
        frames = [{"frame_id": i, "labelled": True, "depth_file_name": None} for i in range(2)]
        DatasetCatalog.register("drawn", lambda: [{"video_id": v, "frames": frames} for v in "abc"])
        MetadataCatalog.get("drawn").set(reader="drawn", evaluator_type="cityscapes_vps")
        results = {}
        for name, ranks in SPLITS.items():
            evaluator = build_evaluator(None, "drawn", None)
            evaluator.reset()
            for video in ranks[comm.get_rank() % comm.get_world_size()]:
                evaluator.process([{}], [output(video)])
            try:
                results[name] = evaluator.evaluate()
            except ValueError as error:
                results[name] = str(error)
            if comm.get_rank() == 1:
                assert results[name] is None
        if comm.is_main_process():
            with open(path, "w") as file:
                json.dump(results, file)

    if __name__ == "__main__":
        launch(main, 2, dist_url="auto", args=(sys.argv[1],))
"""


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path):
    script, path = tmp_path / "two.py", tmp_path / "results.json"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    # car: 2 of 2 px in video a; 1 of 2 px, no match, in b and c.
    assert results["even"]["vpq"]["k1_things"] == pytest.approx(100 / (1 + 2 / 2 + 2 / 2))
    assert results["all on one"] == results["even"]
    assert "video 'c' was scored by more than one process" in results["overlap"]
    assert "no prediction for 1 of 3 videos, first: 'b'" in results["one missing"]
