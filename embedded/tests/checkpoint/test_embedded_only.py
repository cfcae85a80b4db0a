"""What only the embedded package does: it reads pickles without running them."""

import os
import pickle

import numpy as np
import pytest
from torch import nn

detectron2 = pytest.importorskip("detectron2._subset", reason="not the embedded package")

from detectron2.checkpoint import DetectionCheckpointer  # noqa: E402


class Evil:
    """Makes a folder when unpickled by the ordinary unpickler."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    path = tmp_path / "x.pkl"
    folder = str(tmp_path / "made")
    path.write_bytes(pickle.dumps({"model": {"weight": Evil(folder)}, "__author__": "me"}))
    with pytest.raises(pickle.UnpicklingError, match="does not belong in a file of weights"):
        DetectionCheckpointer(nn.Linear(1, 1)).load(str(path))
    assert not os.path.exists(folder)


def test_a_pickle_of_an_unknown_encoding_is_refused(tmp_path):
    path = tmp_path / "x.pkl"
    data = pickle.dumps({"model": {"bias": np.zeros(1, np.float32)}, "__author__": "me"}, 2)
    assert b"latin1" in data
    path.write_bytes(data.replace(b"latin1", b"base64"))
    with pytest.raises(pickle.UnpicklingError, match="encoding"):
        DetectionCheckpointer(nn.Linear(1, 1)).load(str(path))


@pytest.mark.parametrize("path", ["catalog://ImageNetPretrained/FAIR/R-50", "x.pyth"])
def test_other_sources_name_the_official_install(tmp_path, path):
    (tmp_path / "x.pyth").write_bytes(b"")
    path = path if "://" in path else str(tmp_path / path)
    with pytest.raises(NotImplementedError, match="official"):
        DetectionCheckpointer(nn.Linear(1, 1)).load(path)
