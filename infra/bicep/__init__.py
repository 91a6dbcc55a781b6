"""The Bicep compiler, the snapshots it makes, and the record of what they were made from."""

from pathlib import Path

from infra.bicep.folder import Folder

FOLDER = Folder(Path(__file__).resolve().parents[1])
