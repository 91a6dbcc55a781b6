"""`python -m devtools.openapi_document`: write docs/openapi.json from the application."""

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
    """Build the document, which is the same for every AUTH_MODE."""
    settings = Settings.model_construct(auth_mode=AuthMode.LOCAL)
    return create_api(Composition(settings, jobs=LocalQueue())).openapi()


def render_document() -> str:
    """Render the document in a form that produces readable diffs."""
    return json.dumps(build_document(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write docs/openapi.json."""
    DOCUMENT.write_text(render_document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
