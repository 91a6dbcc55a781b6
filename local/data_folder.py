"""The data folder of `make run`: one process at a time, in the layout that this version reads."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

LAYOUT = "2"  # of stored names; there is no migration, so change it whenever one of them changes
VERSION_FILE = "version"
DATABASE = "cosmos.sqlite"
REDIS_FOLDER = "appendonlydir"


class DataFolderError(RuntimeError):
    """The folder cannot be used; the message says why, and what to do."""


@contextlib.contextmanager
def open_data_folder(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; create it and mark its layout if it has no data yet.

    Raises:
        DataFolderError: it is not a folder, is in use, or has data in another layout.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as failed:
        raise DataFolderError(
            f"{folder} cannot be used as a folder ({failed.strerror}); choose another with --data"
        ) from failed
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise DataFolderError(
                f"another Keepsake is using {folder.resolve()}; "
                "stop it, or choose another folder with --data"
            ) from held
        _check_layout(folder)
        yield


def _check_layout(folder: Path) -> None:
    """Accept a folder in this layout, or one without data, which gets this layout."""
    marker = folder / VERSION_FILE
    found = marker.read_text(errors="replace").strip() if marker.is_file() else ""
    if found == LAYOUT:
        return
    if found or any((folder / name).exists() for name in (DATABASE, REDIS_FOLDER)):
        raise DataFolderError(
            f"{folder.resolve()} has data of another version of Keepsake (layout "
            f"{found[:20] or 'unknown'}; this one reads {LAYOUT}), which cannot be converted; "
            "delete the folder, or choose another with --data"
        )
    marker.write_text(f"{LAYOUT}\n")
