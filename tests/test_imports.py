"""Imports go down only: the house rule of the package, checked by parsing and by importing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dvps_d2"

STAGES = {"segmenter", "tracker", "refiner", "depth", "panoptic"}
# What each part may import from the package, besides itself.
BASE = {"structures", "ops", "windows"}
ALLOWED = {
    "formats": set(),
    "metrics": {"formats"},
    "street": {"formats"},
    "structures": set(),
    "ops": set(),
    "windows": set(),
    "layers": BASE,
    "visualize": BASE | {"formats"},
    "report": {"formats", "metrics", "visualize"},
    **{stage: BASE | {"layers"} for stage in STAGES},
    "pipeline": BASE | {"layers"} | STAGES,
    "losses": BASE | {"layers"} | STAGES,
    "testing": BASE | {"layers", "losses", "pipeline"} | STAGES,
}
ANYTHING_BELOW = set(ALLOWED)
ALLOWED["d2"] = ANYTHING_BELOW | {"visualize"}
ALLOWED["cli"] = ANYTHING_BELOW | {"d2"}
WITHOUT_TORCH = {"formats", "metrics", "street"}


def part_of(path: Path) -> str:
    """First level below the package: a folder's name or a module's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Absolute names of everything a file imports, wherever in the file."""
    package = ("dvps_d2", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            found.add(name)
            if name == "dvps_d2":
                found |= {f"dvps_d2.{alias.name}" for alias in node.names}
    return found


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    part = part_of(path)
    assert part in ALLOWED, f"{part} has no place in the import rules yet"
    modules = imported_modules(path)
    used = {name.split(".")[1] for name in modules if name.startswith("dvps_d2.")}
    assert used - {part} <= ALLOWED[part] | {"__version__"}
    if part not in {"d2", "cli"}:
        assert not any(name.split(".")[0] == "detectron2" for name in modules)
    if part in WITHOUT_TORCH:
        assert not any(name.split(".")[0] in {"torch", "torchvision"} for name in modules)


def run_without(blocked: str, statement: str) -> subprocess.CompletedProcess:
    """Run a statement in a fresh interpreter in which some packages cannot be imported."""
    code = (
        "import sys\n"
        f"for name in {blocked.split()!r}: sys.modules[name] = None\n"
        f"{statement}\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in "
        f"{blocked.split()!r} and sys.modules[m] is not None]\n"
        "print('imported')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.mark.parametrize(
    ("blocked", "statement"),
    [
        ("detectron2", "import dvps_d2.pipeline, dvps_d2.ops, dvps_d2.losses"),
        ("detectron2 torch", "import dvps_d2.metrics, dvps_d2.formats, dvps_d2.street"),
        ("detectron2 torch", "import dvps_d2.cli; dvps_d2.cli.main(['score', '--help'])"),
    ],
    ids=["stages without Detectron2", "metrics without torch", "dvps score without torch"],
)
def test_parts_work_without(blocked, statement):
    if "--help" in statement:
        statement = f"try:\n    {statement}\nexcept SystemExit as end:\n    assert end.code == 0"
    result = run_without(blocked, statement)
    assert result.stdout.strip().endswith("imported"), result.stderr


def test_d2_without_detectron2_says_how_to_get_it():
    result = run_without("detectron2", "import dvps_d2.d2")
    assert "make setup DETECTRON2=official" in result.stderr
    assert "./embedded" in result.stderr


def test_importing_the_package_registers_nothing():
    result = run_without("detectron2 torch numpy", "import dvps_d2")
    assert result.stdout.strip() == "imported", result.stderr
