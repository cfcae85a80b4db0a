"""One small street, written in any layout."""

import pytest

from dvps_d2.street import StreetConfig, StreetVideo, split_seed
from dvps_d2.street.layouts import LAYOUTS, StreetTree

SMALL = StreetConfig(height=48, width=96, frames=2, interval=0.3, speed=0.7)


@pytest.fixture(scope="session")
def write_street(tmp_path_factory):
    """write_street(layout, splits) -> (root, render(split, index) -> frames of its video)."""

    def write(name, splits=("val",), videos=1, config=SMALL):
        root = tmp_path_factory.mktemp(name)
        tree = StreetTree(root, LAYOUTS[name])
        tree.claim(config, 0)
        for split in splits:
            for index in range(videos):
                tree.write_video(config, split, index, 0)
            tree.finish(split, videos)
        return root

    return write


@pytest.fixture(scope="session")
def render():
    def frames(name, split, index=0, config=SMALL):
        video_config = LAYOUTS[name].video_config(config, split)
        return list(StreetVideo(video_config, split_seed(split, index)))

    return frames


@pytest.fixture(scope="session")
def visible_files():
    def names(root):
        files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return sorted(str(path) for path in files if path.parts[0] != ".street")

    return names
