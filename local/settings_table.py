"""`python -m local.settings_table`: write the README's table of settings, from shared/settings.py."""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from shared.settings import Settings

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- settings: written by `make docs` from shared/settings.py -->"
PREFACE = "Each setting is an environment variable. One that is missing or silly stops the start, by its name."
END = "<!-- end of settings -->"


def render_table() -> str:
    """The table, one row per setting, in the order of the class."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join(["| setting | default | what it is |", "| --- | --- | --- |", *rows])


def replace_table(document: str) -> str:
    """The document with the table of today between the markers. Twice gives the same.

    Raises:
        ValueError: a marker is missing.
    """
    head, rest = document.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n### Settings\n\n{PREFACE}\n\n{render_table()}\n\n{END}{tail}"


def main() -> int:
    """Write README.md."""
    README.write_text(replace_table(README.read_text()))
    return 0


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name.upper()}` | {_default(field)} | {field.description}{_range(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
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
