"""Install the embedded subset of Detectron2 0.6 under the name of the original.

It is pure Python: ``pip install ./embedded --no-build-isolation`` works without a compiler, and
pip replaces it when the official Detectron2 is installed. torch and torchvision are
prerequisites and are not listed, as in the official package. cv2 may come from any OpenCV
distribution, so none is listed either.
"""

from pathlib import Path

from setuptools import find_packages, setup


def version() -> str:
    """Read ``__version__`` without importing the package."""
    source = (Path(__file__).parent / "detectron2" / "__init__.py").read_text(encoding="utf-8")
    line = next(line for line in source.splitlines() if line.startswith("__version__"))
    return line.split('"')[1]


setup(
    name="detectron2",
    version=f"{version()}+embedded",
    description="Independent implementation of a subset of the Detectron2 0.6 API",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["detectron2", "detectron2.*"]),
    install_requires=[
        "Pillow>=7.1",
        "pycocotools>=2.0.2",
        "termcolor>=1.1",
        "yacs>=0.1.8",
        "tabulate",
        "cloudpickle",
        "tqdm>4.29.0",
        "tensorboard",
        "fvcore>=0.1.5,<0.1.6",
        "iopath>=0.1.7,<0.1.10",
    ],
)
