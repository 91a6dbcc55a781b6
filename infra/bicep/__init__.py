"""The Bicep compiler, the snapshots it makes, and the record of what they were made from."""
