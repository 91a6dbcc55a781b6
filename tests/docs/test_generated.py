"""Generated documents match the code."""

from devtools import openapi_document, settings_table
from shared.settings import Settings


def test_the_settings_table_is_that_of_the_code() -> None:
    """docs/settings.md lists every setting, its default and its limits as in shared/settings.py."""
    committed = settings_table.DOCUMENT.read_text()
    assert settings_table.replace_table(committed) == committed, (
        "shared/settings.py has changed: run `make docs` and commit the result"
    )


def test_the_openapi_document_is_that_of_the_code() -> None:
    """docs/openapi.json is what the application serves, so the diff shows contract changes."""
    committed = openapi_document.DOCUMENT.read_text()
    assert openapi_document.render_document() == committed, (
        "the API has changed: run `make docs`, review and commit the result"
    )


def test_every_setting_is_in_the_table() -> None:
    """No setting is left out, and each has one line."""
    table = settings_table.render_table().splitlines()
    assert [line.split("`")[1].lower() for line in table[2:]] == list(Settings.model_fields)
