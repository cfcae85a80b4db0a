"""Registry, files, seeds, memory, pickling, logging, one process of comm."""

import io
import logging
import pickle
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import detectron2
from detectron2.utils import comm
from detectron2.utils.env import TORCH_VERSION, seed_all_rng
from detectron2.utils.file_io import PathHandler, PathManager
from detectron2.utils.logger import (
    create_small_table,
    log_every_n,
    log_every_n_seconds,
    log_first_n,
    setup_logger,
)
from detectron2.utils.memory import retry_if_cuda_oom
from detectron2.utils.registry import Registry, locate
from detectron2.utils.serialize import PicklableWrapper


@pytest.fixture
def logger():
    """A logger of its own, without handlers afterwards."""
    name = "toy_logger"
    yield name
    log = logging.getLogger(name)
    for handler in list(log.handlers):
        log.removeHandler(handler)
    log.propagate = True


def test_version():
    assert detectron2.__version__.startswith("0.6")


def test_registry():
    registry = Registry("META_ARCH")

    @registry.register()
    class Net:
        pass

    def other():
        pass

    assert registry.register(other) is None
    assert registry.get("Net") is Net
    assert "other" in registry
    assert dict(registry) == {"Net": Net, "other": other}
    with pytest.raises(KeyError, match="No object named 'Foo' found in 'META_ARCH' registry!"):
        registry.get("Foo")
    with pytest.raises(
        AssertionError, match="An object named 'Net' was already registered in 'META_ARCH'"
    ):
        registry.register(Net)


def test_locate():
    assert locate("collections.OrderedDict.fromkeys").__name__ == "fromkeys"
    assert locate("detectron2.utils.comm") is comm
    with pytest.raises(ImportError):
        locate("collections.nothing")
    with pytest.raises(ImportError):
        locate("no_such_package.x")


def test_files(tmp_path):
    path = str(tmp_path / "x.txt")
    with PathManager.open(path, "w") as file:
        file.write("hello")
    assert PathManager.isfile(path)
    assert PathManager.get_local_path(path) == path

    class Memory(PathHandler):
        def _get_supported_prefixes(self):
            return ["memory-test://"]

        def _open(self, path, mode="r", **kwargs):
            return io.StringIO(path)

    PathManager.register_handler(Memory())
    with PathManager.open("memory-test://abc") as file:
        assert file.read() == "memory-test://abc"


def test_seeds():
    draws = []
    for _ in range(2):
        seed_all_rng(3)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
    seed_all_rng()
    assert torch.rand(1).item() != draws[0][2]
    assert ".".join(map(str, TORCH_VERSION)) == ".".join(torch.__version__.split(".")[:2])


def test_import_runs_an_environment_module(tmp_path):
    module = tmp_path / "custom_env.py"
    module.write_text("def setup_environment():\n    print('custom', __name__)\n")
    code = "import detectron2"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"DETECTRON2_ENV_MODULE": str(module), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "custom" in result.stdout


def oom(fail_times: int):
    """A function that runs out of memory some times."""
    calls = []

    def function(tensor, factor=1):
        calls.append(tensor.device.type)
        if len(calls) <= fail_times:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        return tensor * factor

    return function, calls


@pytest.mark.parametrize(("fail_times", "expected"), [(0, 1), (1, 2), (2, 3)])
def test_retries(fail_times, expected):
    function, calls = oom(fail_times)
    assert retry_if_cuda_oom(function)(torch.tensor([2]), factor=3).tolist() == [6]
    assert len(calls) == expected


def test_retries_have_an_end_and_other_errors_pass():
    with pytest.raises(RuntimeError, match="out of memory"):
        retry_if_cuda_oom(oom(9)[0])(torch.zeros(1))

    def broken():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        retry_if_cuda_oom(broken)()


def test_closures_are_pickled():
    offset = 4
    wrapped = PicklableWrapper(lambda value: value + offset)
    restored = pickle.loads(pickle.dumps(wrapped))
    assert restored(1) == 5
    assert PicklableWrapper([1, 2]).index(2) == 1


def test_setup_logger_writes_a_file_and_is_cached(tmp_path, logger, capsys):
    log = setup_logger(str(tmp_path), name=logger)
    assert setup_logger(str(tmp_path), name=logger) is log
    log.info("hello %s", "file")
    logging.getLogger(f"{logger}.part").warning("careful")
    text = (tmp_path / "log.txt").read_text()
    assert re.search(r"\[\d\d/\d\d \d\d:\d\d:\d\d\] toy_logger INFO: hello file", text)
    assert text.count("hello file") == 1
    shown = capsys.readouterr().out
    assert "hello file" in shown
    assert "WARNING" in shown
    assert not log.propagate


def test_other_ranks_have_files_of_their_own(tmp_path, logger, capsys):
    setup_logger(str(tmp_path / "x.txt"), 2, name=logger).info("hello")
    assert "hello" in (tmp_path / "x.txt.rank2").read_text()
    assert capsys.readouterr().out == ""


def test_rate_limits(logger, caplog):
    with caplog.at_level(logging.INFO):
        for index in range(5):
            log_first_n(logging.INFO, f"first {index}", n=2, name=logger)
            log_every_n(logging.INFO, f"every {index}", n=2, name=logger)
            log_every_n_seconds(logging.INFO, f"seconds {index}", n=100, name=logger)
        for _ in range(2):
            log_first_n(logging.INFO, "same", name=logger, key="message")
        log_first_n(logging.INFO, "same", name=logger, key="message")
    messages = [record.getMessage() for record in caplog.records]
    assert [text for text in messages if text.startswith("first")] == ["first 0", "first 1"]
    assert [text for text in messages if text.startswith("every")] == [
        "every 0",
        "every 2",
        "every 4",
    ]
    assert [text for text in messages if text.startswith("seconds")] == ["seconds 0"]
    assert messages.count("same") == 1


def test_a_small_table():
    lines = create_small_table({"a": 1.23456, "bb": 2}).splitlines()
    assert len(lines) == 3
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["a", "bb"]
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["1.235", "2"]


def test_comm_without_other_processes():
    assert (comm.get_world_size(), comm.get_rank()) == (1, 0)
    assert (comm.get_local_size(), comm.get_local_rank()) == (1, 0)
    assert comm.is_main_process()
    comm.synchronize()
    assert comm.all_gather({"a": 1}) == [{"a": 1}]
    assert comm.gather("x") == ["x"]
    values = {"loss": torch.tensor(1.0)}
    assert comm.reduce_dict(values) is values
    assert 0 <= comm.shared_random_seed() < 2**31
