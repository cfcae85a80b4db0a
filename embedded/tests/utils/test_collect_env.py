"""The table of versions."""

import torch

from detectron2.utils.collect_env import collect_env_info


def test_it_names_the_versions():
    text = collect_env_info()
    for part in ("detectron2", "0.6", torch.__version__, "fvcore", "DETECTRON2_ENV_MODULE"):
        assert part in text
