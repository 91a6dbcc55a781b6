"""The code uses the field's terms and reads like English: its texts, docstrings and comments."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.words import find_phrases

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "function_app.py", *sorted((ROOT / "shared").rglob("*.py")))
]
LUA = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "shared").rglob("*.lua"))
MIN_WORDS = 3  # a shorter string is a name, not a text
VOCABULARY = {"_STOP_TEXT"}  # words to search without, not words that we write


def read_texts(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring, message and description of a module, with its line."""
    tree = ast.parse(source)
    skipped = {node for part in _vocabularies(tree) for node in ast.walk(part)}
    inner = {
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in skipped | inner:
            text = _text_of(node)
            if len(text.split()) >= MIN_WORDS:
                yield node.lineno, text


def read_comments(source: str) -> Iterator[tuple[int, str]]:
    """Every comment of a module, with its line; consecutive lines are one text."""
    lines: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = token.string.lstrip("# ")
    yield from _join(lines)


def read_lua_comments(source: str) -> Iterator[tuple[int, str]]:
    """Every comment of a Lua script, with its line."""
    numbered = enumerate(source.splitlines(), 1)
    yield from _join({line: text.split("--", 1)[1] for line, text in numbered if "--" in text})


def find_in(path: str, texts: Iterator[tuple[int, str]]) -> list[str]:
    """Each phrase that we do not use, with its file and the line where its text starts."""
    return [f"{path}:{line}: {found}" for line, text in texts for found in find_phrases(text)]


@pytest.mark.parametrize("path", FILES)
def test_texts_and_docstrings_use_plain_words(path: str) -> None:
    """No message, description or docstring has a phrase that a native engineer would not write."""
    assert find_in(path, read_texts((ROOT / path).read_text())) == []


@pytest.mark.parametrize("path", FILES)
def test_comments_use_plain_words(path: str) -> None:
    """No comment has a phrase that a native engineer would not write."""
    assert find_in(path, read_comments((ROOT / path).read_text())) == []


@pytest.mark.parametrize("path", LUA)
def test_lua_comments_use_plain_words(path: str) -> None:
    """No comment of a script has a phrase that a native engineer would not write."""
    assert find_in(path, read_lua_comments((ROOT / path).read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        'raise NotFound("The session was told to begin anew")',
        'raise NotFound(f"Redis at {host} is away at the moment")',
        'MESSAGES = {"json_invalid": "The body is no JSON"}',
        'name: str = Field("", description="A silly value stops the start")',
        'def close() -> None:\n    """Close it.\n\n    Twice is harmless.\n    """',
    ],
)
def test_every_kind_of_text_is_read(source: str) -> None:
    """Messages, f-strings, tables, descriptions and docstrings are all checked."""
    assert find_in("module.py", read_texts(source))


def test_comments_are_read() -> None:
    """Comments of Python and of Lua are checked."""
    assert find_in("module.py", read_comments("x = 1  # twice is\n# harmless\n"))
    assert find_in("script.lua", read_lua_comments("return 1 -- the session is parked\n"))


def _vocabularies(tree: ast.Module) -> list[ast.Assign]:
    return [
        node
        for node in tree.body
        if isinstance(node, ast.Assign)
        and VOCABULARY & {getattr(target, "id", "") for target in node.targets}
    ]


def _text_of(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text_of(part) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return node.value if isinstance(node.value, str) else ""


def _join(lines: dict[int, str]) -> Iterator[tuple[int, str]]:
    start = 0
    for line in sorted(lines):
        if line - 1 not in lines:
            start = line
        if line + 1 not in lines:
            yield start, "\n".join(lines[part] for part in range(start, line + 1))
