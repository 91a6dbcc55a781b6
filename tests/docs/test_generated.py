"""What is generated from the code says what the code says today."""

from pathlib import Path

from local import openapi_document, settings_table
from shared.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_settings_table_is_that_of_the_code() -> None:
    """The README tells every setting, its default and its limits as shared/settings.py has them."""
    readme = (ROOT / "README.md").read_text()
    assert settings_table.replace_table(readme) == readme, (
        "shared/settings.py has changed: run `make docs`, commit it"
    )


def test_the_openapi_document_is_that_of_the_code() -> None:
    """docs/openapi.json is what the application serves: a change of the contract is seen in the diff."""
    committed = openapi_document.DOCUMENT.read_text()
    assert openapi_document.render_document() == committed, (
        "the API has changed: run `make docs`, look, commit it"
    )


def test_every_setting_is_in_the_table() -> None:
    """No setting is left out, and each has one line."""
    table = settings_table.render_table().splitlines()
    assert [line.split("`")[1].lower() for line in table[2:]] == list(Settings.model_fields)
