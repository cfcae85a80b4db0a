"""How the compiled operators are built; ``setup.py`` runs this file without importing the package.

``DVPS_BUILD_OPS=1`` asks for the build, and then a failure is a failure of the installation;
``0``, the default, leaves the plain-PyTorch path. CUDA kernels are added with ``FORCE_CUDA=1``, or
where there are a CUDA toolkit and a GPU; ``TORCH_CUDA_ARCH_LIST`` chooses architectures.

The extension uses libtorch's stable ABI as of torch 2.11 and no Python ABI: one binary serves all
later versions of torch and Python.
"""

import os
import shutil
from pathlib import Path
from types import ModuleType

SOURCES = Path(__file__).resolve().parent / "csrc"
STABLE_ABI = "0x020b000000000000"  # torch 2.11, the oldest that may load the binary
CXX_FLAGS = ["-std=c++17", "-O3", "-Wno-psabi", f"-DTORCH_TARGET_VERSION={STABLE_ABI}"]
# USE_CUDA opens the CUDA part of the stable ABI's own header.
CUDA_FLAGS = ["-DUSE_CUDA"]
NVCC_FLAGS = ["-O3", "-std=c++17", "--expt-relaxed-constexpr"]


def is_wanted() -> bool:
    """Whether ``DVPS_BUILD_OPS`` asks for the compiled operators.

    Raises:
        ValueError: it is set to something else than 0 or 1.
    """
    answer = os.environ.get("DVPS_BUILD_OPS", "0")
    if answer not in ("0", "1"):
        raise ValueError(f"DVPS_BUILD_OPS must be 0 or 1, got {answer!r}")
    return answer == "1"


def sources(cuda: bool) -> list[str]:
    """Paths of the source files, relative to the project, as setuptools wants them."""
    files = [*SOURCES.glob("*.cpp"), *SOURCES.glob("cpu/*.cpp")]
    if cuda:
        files += [*SOURCES.glob("cuda/*.cu"), *SOURCES.glob("cuda/*.cpp")]
    project = SOURCES.parents[2]
    return sorted(str(file.relative_to(project)) for file in files)


def extension_modules() -> list:
    """The extension modules for ``setup(ext_modules=...)``; none where nobody asked.

    Raises:
        RuntimeError: asked for, and torch, a C++ compiler or the CUDA toolkit is missing.
    """
    if not is_wanted():
        return []
    cpp_extension = _cpp_extension()
    _check_compiler()
    cuda = _with_cuda(cpp_extension.CUDA_HOME)
    if cuda:
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", _default_architectures())
    kind = cpp_extension.CUDAExtension if cuda else cpp_extension.CppExtension
    cxx = CXX_FLAGS + CUDA_FLAGS * cuda
    nvcc = NVCC_FLAGS + CUDA_FLAGS + [f"-DTORCH_TARGET_VERSION={STABLE_ABI}"]
    if cuda:
        nvcc.append(f'-DDVPS_CUDA_ARCHITECTURES="{os.environ["TORCH_CUDA_ARCH_LIST"]}"')
    return [
        kind(
            "dvps_d2.ops._C",
            sources(cuda),
            py_limited_api=True,
            extra_compile_args={"cxx": cxx, "nvcc": nvcc} if cuda else cxx,
        )
    ]


def cmdclass() -> dict:
    """The build command for ``setup(cmdclass=...)``; setuptools' own where nobody asked."""
    if not is_wanted():
        return {}
    # The file is loaded by torch, not imported by Python: no Python version in its name.
    build = _cpp_extension().BuildExtension.with_options(
        no_python_abi_suffix=True, use_ninja=shutil.which("ninja") is not None
    )
    return {"build_ext": build}


def _cpp_extension() -> ModuleType:
    try:
        from torch.utils import cpp_extension
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "DVPS_BUILD_OPS=1 needs torch while building: install it first and build with "
            "`pip install --no-build-isolation`"
        ) from error
    return cpp_extension


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "c++").split()[0]
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"DVPS_BUILD_OPS=1 needs a C++ compiler, and there is no {compiler!r} on the PATH; "
            "install g++, point CXX at a compiler, or set DVPS_BUILD_OPS=0 for plain PyTorch"
        )


def _with_cuda(cuda_home: str | None) -> bool:
    import torch

    forced = os.environ.get("FORCE_CUDA", "0") == "1"
    if forced and cuda_home is None:
        raise RuntimeError(
            "FORCE_CUDA=1 needs the CUDA toolkit, and there is no nvcc on the PATH; install it or "
            "point CUDA_HOME at it"
        )
    return forced or (cuda_home is not None and torch.cuda.is_available())


def _default_architectures() -> str:
    """The GPUs of this machine or, where there are none, those that this torch was built for."""
    import torch

    if torch.cuda.is_available():
        found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        return ";".join(f"{major}.{minor}" for major, minor in sorted(found))
    return "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX"
