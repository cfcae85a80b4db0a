"""Requirements and the optional compiled op; everything else is in pyproject.toml."""

from importlib.util import module_from_spec, spec_from_file_location

from setuptools import setup

REQUIREMENTS = [
    "torch>=2.11",
    "torchvision",
    "numpy",
    "scipy",
    "Pillow",
    "pycocotools",
    "fvcore>=0.1.5.post20221221",
    "iopath>=0.1.9",
    "yacs>=0.1.8",
    "tqdm",
    "tensorboard",
    "tabulate",
]


def opencv() -> list[str]:
    """Any distribution of OpenCV will do; ask for the headless one only where there is none."""
    try:
        import cv2  # noqa: F401
    except ImportError:
        return ["opencv-python-headless"]
    return []


def compiled_op() -> dict:
    """Build arguments of the deformable attention op: none unless DVPS_BUILD_OPS=1 asks."""
    spec = spec_from_file_location("build_ops", "dvps_d2/ops/build.py")
    build = module_from_spec(spec)
    spec.loader.exec_module(build)
    return {"ext_modules": build.extension_modules(), "cmdclass": build.cmdclass()}


setup(install_requires=REQUIREMENTS + opencv(), **compiled_op())
