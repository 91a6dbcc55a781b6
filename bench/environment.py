"""Environments that benchmarks run in or with, apart from the one that tests run in."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.stack import ROOT


class CannotBuildError(RuntimeError):
    """The environment is not there and cannot be made; the message says why."""


def build_environment(name: str, python: str, requirements: Mapping[str, Sequence[str]]) -> Path:
    """The folder of programs of an environment under .local, kept until requirements or interpreter change.

    The requirements are files, each with options of its own for uv.

    Raises:
        CannotBuildError: there is no uv, or it could not install.
    """
    folder = ROOT / ".local" / name
    stated = python.encode() + b"".join((ROOT / file).read_bytes() for file in requirements)
    stamp = folder / hashlib.sha256(stated).hexdigest()
    if not stamp.exists():
        _uv("venv", "--clear", "--python", python, str(folder))
        for file, options in requirements.items():
            install = [
                "pip",
                "install",
                "--compile-bytecode",
                "--no-deps",
                "--require-hashes",
                "--python",
                str(folder),
            ]
            _uv(*install, *options, "--requirements", file)
        stamp.touch()
    return folder / "bin"


def _uv(*arguments: str) -> None:
    own = Path(sys.executable).parent / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if not uv:
        raise CannotBuildError(
            "uv is needed to build the environment; `make test` puts it into .venv"
        )
    done = subprocess.run(  # noqa: S603
        [uv, "--quiet", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotBuildError(
            f"uv {arguments[0]} failed, so there is nothing to measure with: {done.stderr.strip()}"
        )
