"""`python -m devtools.openapi_document`: write docs/openapi.json, from the application."""

import json
import sys
from pathlib import Path
from typing import Any

from local.jobs import LocalQueue
from shared.bootstrap.composition import Composition
from shared.http.app import create_api
from shared.settings import AuthMode, Settings

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def build_document() -> dict[str, Any]:
    """The document, which is the same in every AUTH_MODE."""
    api = create_api(
        Composition(Settings.model_construct(auth_mode=AuthMode.LOCAL), jobs=LocalQueue())
    )
    return api.openapi()


def render_document() -> str:
    """The document as text, in a form that shows well in a diff."""
    return json.dumps(build_document(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file."""
    DOCUMENT.write_text(render_document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
