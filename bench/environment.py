"""Python environments of benchmarks, separate from that of the tests."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.stack import ROOT

LOCK_FILES = ("pyproject.toml", "uv.lock")


class CannotBuildError(RuntimeError):
    """The environment cannot be built; the message says why."""


def build_deployed(name: str, python: str, requirements: Mapping[str, Sequence[str]]) -> Path:
    """Build an environment in .local from requirements files, each with options for uv.

    Returns its folder of programs. It is built again when a file or the interpreter changes.

    Raises:
        CannotBuildError: uv is missing, or could not install the packages.
    """
    folder = ROOT / ".local" / name
    stamp = _stamp(folder, python, requirements)
    if not stamp.exists():
        _uv("venv", "--clear", "--python", python, str(folder))
        install = ["pip", "install", "--compile-bytecode", "--no-deps", "--require-hashes"]
        for file, options in requirements.items():
            _uv(*install, "--python", str(folder), *options, "--requirements", file)
        stamp.touch()
    return folder / "bin"


def build_group(name: str, group: str) -> Path:
    """Build an environment in .local with one dependency group of the lock file, and nothing else.

    Returns its folder of programs. It is built again when the lock file or interpreter changes.

    Raises:
        CannotBuildError: uv is missing, or could not install the packages.
    """
    folder = ROOT / ".local" / name
    stamp = _stamp(folder, sys.executable, LOCK_FILES)
    if not stamp.exists():
        sync = ("sync", "--locked", "--compile-bytecode", "--only-group", group)
        _uv(*sync, "--python", sys.executable, environment=folder)
        stamp.touch()
    return folder / "bin"


def _stamp(folder: Path, python: str, files: Mapping[str, object] | Sequence[str]) -> Path:
    """Return the path of the file that exists if the folder was built from exactly these inputs."""
    inputs = python.encode() + b"".join((ROOT / file).read_bytes() for file in files)
    return folder / hashlib.sha256(inputs).hexdigest()


def _uv(*arguments: str, environment: Path | None = None) -> None:
    own = Path(sys.executable).parent / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if not uv:
        raise CannotBuildError(
            "uv is needed to build the environment; `make test` installs it into .venv"
        )
    settings = {"UV_PROJECT_ENVIRONMENT": str(environment)} if environment else {}
    done = subprocess.run(  # noqa: S603
        [uv, "--quiet", *arguments],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBuildError(
            f"uv {arguments[0]} failed, so the environment is missing: {done.stderr.strip()}"
        )
