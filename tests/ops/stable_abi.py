"""One binary for several versions of torch: build the op in one environment, run it in others.

    python tests/ops/stable_abi.py --build OLD/bin/python --load NEW/bin/python [OTHER ...]

Not a test of the suite: it needs interpreters with different versions of torch (2.11 and the
newest, say). The first builds the extension in a temporary copy of the package; every other loads
that binary and compares its output and gradients with the plain-PyTorch reference.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SETUP = """
from importlib.util import module_from_spec, spec_from_file_location
from setuptools import setup
spec = spec_from_file_location("build_ops", "dvps_d2/ops/build.py")
build = module_from_spec(spec)
spec.loader.exec_module(build)
setup(name="ops", packages=[], ext_modules=build.extension_modules(), cmdclass=build.cmdclass())
"""
CHECK = """
import torch
from dvps_d2.ops import active_path, extension, ms_deform_attn, panoptic_merge, reference
assert active_path("cpu") == "compiled"
torch.manual_seed(0)
shapes = [(7, 9), (3, 4)]
for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 1e-2)):
    leaves = [torch.randn(2, 75, 4, 32).to(dtype), torch.rand(2, 20, 4, 2, 4, 2),
              torch.rand(2, 20, 4, 2, 4)]
    results = []
    for function in (ms_deform_attn, reference.ms_deform_attn):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        output = function(inputs[0], shapes, *inputs[1:])
        output.sum().backward()
        results.append([output.detach(), *(leaf.grad for leaf in inputs)])
    for actual, expected in zip(*results):
        error = (actual - expected).abs().max() / expected.abs().max()
        assert error <= tolerance, (dtype, error)
masks = (torch.randn(3, 2, 6, 8), torch.rand(3), (24, 32), (22, 30), (44, 60))
for actual, expected in zip(panoptic_merge(*masks), reference.panoptic_merge(*masks)):
    assert torch.equal(actual, expected)
print(f"torch {torch.__version__}: {extension.FILE.name} loads and equals the reference")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="interpreter whose torch builds the binary")
    parser.add_argument("--load", required=True, nargs="+", help="interpreters that load it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        ignore = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(PROJECT / "dvps_d2" / "ops", copy / "dvps_d2" / "ops", ignore=ignore)
        (copy / "setup.py").write_text(SETUP)
        environment = {**os.environ, "DVPS_BUILD_OPS": "1", "PYTHONPATH": folder}
        command = [options.build, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(command, cwd=copy, env=environment, check=True)
        for interpreter in [options.build, *options.load]:
            subprocess.run([interpreter, "-c", CHECK], cwd=copy, env=environment, check=True)


if __name__ == "__main__":
    main()
