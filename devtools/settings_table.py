"""`python -m devtools.settings_table`: write the table in docs/settings.md from the code."""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from shared.settings import Settings

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
BEGIN = "<!-- settings: written by `make docs` from shared/settings.py -->"
END = "<!-- end of settings -->"


def render_table() -> str:
    """Render the table: one row per setting, in the order of the class."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join(["| setting | default | description |", "| --- | --- | --- |", *rows])


def replace_table(document: str) -> str:
    """Return the document with the current table between the markers. Idempotent.

    Raises:
        ValueError: a marker is missing.
    """
    head, rest = document.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{render_table()}\n\n{END}{tail}"


def main() -> int:
    """Write docs/settings.md."""
    DOCUMENT.write_text(replace_table(DOCUMENT.read_text()))
    return 0


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name.upper()}` | {_default(field)} | {field.description}{_range(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default in {None, (), ""}:
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _range(field: FieldInfo) -> str:
    limits = {
        kind: getattr(rule, kind)
        for rule in field.metadata
        for kind in ("ge", "le")
        if hasattr(rule, kind)
    }
    return f" ({limits['ge']:,} to {limits['le']:,})" if len(limits) > 1 else ""


if __name__ == "__main__":
    sys.exit(main())
