"""The full-text policy of a container and its full-text indexes."""

from __future__ import annotations

from cosmos_local.errors import bad_request
from cosmos_local.keys import Path, parse_path
from cosmos_local.shapes import check_members, objects_in
from cosmos_local.values import Document

LANGUAGE = "en-US"


def read_texts(properties: Document, indexing: Document) -> tuple[Path, ...]:
    """Check the full-text policy and the full-text indexes, and return the policy's paths."""
    given = properties.get("fullTextPolicy") or {}
    policy = check_members(given, "fullTextPolicy", {"defaultLanguage", "fullTextPaths"})
    _check_language(policy.get("defaultLanguage", LANGUAGE))
    paths: list[Path] = []
    for entry in objects_in(policy, "fullTextPaths"):
        check_members(entry, "full-text path", {"path", "language"})
        _check_language(entry.get("language", LANGUAGE))
        paths.append(_path(entry))
    if len(set(paths)) < len(paths):
        raise bad_request("A full-text path is named twice in the fullTextPolicy.")
    for index in objects_in(indexing, "fullTextIndexes"):
        check_members(index, "full-text index", {"path"})
        if _path(index) not in paths:
            raise bad_request(
                f"The path of the full-text index '{index.get('path')}' is not in the "
                "full-text policy of the container."
            )
    return tuple(paths)


def _path(entry: Document) -> Path:
    text = entry.get("path")
    path = parse_path(text) if isinstance(text, str) and text.startswith("/") else ()
    if not path or "*" in path or "[]" in path:
        raise bad_request(
            f"The Full Text Policy contains an invalid Path: {text}. It starts with '/' and has "
            "no wildcards."
        )
    return path


def _check_language(language: object) -> None:
    if language != LANGUAGE:
        raise bad_request(
            f"The full-text policy contains an unsupported language {language}. "
            f"Supported languages are: {LANGUAGE}."
        )
