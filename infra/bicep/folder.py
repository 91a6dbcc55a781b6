"""Where the templates are, and their variants."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.bicep.snapshot import ENDING, Snapshot, parse_snapshot


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with templates, and with one parameter file and one snapshot per variant."""

    path: Path

    @property
    def main(self) -> Path:
        """The template that is deployed."""
        return self.path / "main.bicep"

    @property
    def record(self) -> Path:
        """Digests of what the snapshots were made from."""
        return self.path / "variants" / "record.json"

    def parameter_files(self) -> list[Path]:
        """The parameters of each variant."""
        return sorted(self.path.glob("variants/*.bicepparam"))

    def snapshot_files(self) -> list[Path]:
        """The snapshots there are."""
        return sorted(self.path.glob(f"variants/*{ENDING}"))

    def bicep_files(self) -> list[Path]:
        """Everything that is written in Bicep."""
        return [*sorted(self.path.rglob("*.bicep")), *self.parameter_files()]

    def load_snapshots(self) -> Iterator[Snapshot]:
        """Read every snapshot."""
        for path in self.snapshot_files():
            yield parse_snapshot(path.name.removesuffix(ENDING), path.read_text())


def snapshot_path(parameters: Path) -> Path:
    """Where the snapshot of a parameter file belongs."""
    return parameters.with_name(f"{parameters.stem}{ENDING}")
