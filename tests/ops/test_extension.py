"""Loading and building: what was asked for and fails is an error that tells the way out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dvps_d2.ops
from dvps_d2.ops import active_path, build, extension, use_path


def test_file_that_does_not_load_is_an_error_at_first_use(tmp_path, monkeypatch):
    broken = tmp_path / "_C.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(extension, "FILE", broken)
    monkeypatch.setattr(extension, "FAILURE", extension._load(broken))
    with (
        use_path("auto"),
        pytest.raises(RuntimeError, match=r"_C\.so was built for another.*DVPS_OPS_PATH=reference"),
    ):
        active_path("cpu")
    with use_path("reference"):
        assert active_path("cpu") == "reference"


def test_file_built_from_older_sources_is_an_error_at_first_use(monkeypatch):
    if extension.FILE is None:
        pytest.skip("built without the compiled ops (DVPS_BUILD_OPS=1)")
    monkeypatch.setattr(extension, "_OPS", (*extension._OPS, "not_yet_written"))
    monkeypatch.setattr(extension, "FAILURE", extension._load(extension.FILE))
    with use_path("auto"), pytest.raises(RuntimeError, match="older sources.*no not_yet_written"):
        active_path("cpu")


def test_compiled_path_without_a_build_is_an_error(monkeypatch):
    monkeypatch.setattr(extension, "FILE", None)
    monkeypatch.setattr(extension, "has_kernel", lambda device_type: False)
    with use_path("auto"):
        assert active_path("cpu") == "reference"
    with use_path("compiled"), pytest.raises(RuntimeError, match="DVPS_BUILD_OPS=1 pip install"):
        active_path("cpu")


def test_path_from_the_environment_is_checked():
    run = subprocess.run(
        [sys.executable, "-c", "import dvps_d2.ops"],
        env={**os.environ, "DVPS_OPS_PATH": "fast"},
        cwd=Path(dvps_d2.ops.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "must be one of ('auto', 'compiled', 'reference'), got 'fast'" in run.stderr


def test_nothing_is_built_unless_asked(monkeypatch):
    monkeypatch.delenv("DVPS_BUILD_OPS", raising=False)
    assert build.extension_modules() == []
    assert build.cmdclass() == {}
    monkeypatch.setenv("DVPS_BUILD_OPS", "yes")
    with pytest.raises(ValueError, match="must be 0 or 1, got 'yes'"):
        build.extension_modules()


def test_build_without_a_compiler_fails_and_says_so(monkeypatch):
    monkeypatch.setenv("DVPS_BUILD_OPS", "1")
    monkeypatch.setenv("CXX", "no-such-compiler -pipe")
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler.*'no-such-compiler'"):
        build.extension_modules()


def test_forced_cuda_without_a_toolkit_fails_and_says_so(monkeypatch):
    monkeypatch.setenv("FORCE_CUDA", "1")
    with pytest.raises(RuntimeError, match="FORCE_CUDA=1 needs the CUDA toolkit"):
        build._with_cuda(cuda_home=None)


@pytest.mark.parametrize("cuda", [False, True])
def test_every_source_file_is_built(cuda):
    files = {Path(file).name for file in build.sources(cuda)}
    assert {"library.cpp", "ms_deform_attn.cpp", "panoptic_merge.cpp", "kernels_avx2.cpp"} <= files
    assert any(file.endswith(".cu") for file in files) == cuda
