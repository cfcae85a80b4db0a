"""Fixtures of the report's tests."""

import cv2
import numpy as np
import pytest

from dvps_d2.metrics import get_protocol


@pytest.fixture
def vps():
    """VPQ over one and two frames."""
    return get_protocol("cityscapes_vps", windows=(1, 2))


@pytest.fixture
def dvps():
    """VPQ and DVPQ over one and two frames."""
    return get_protocol("cityscapes_dvps", windows=(1, 2), lambdas=(0.5, 0.1))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Three pictures of 8 x 4 pixels."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        assert cv2.imwrite(str(path), np.full((4, 8, 3), 60 * (number + 1), np.uint8))
    return paths
