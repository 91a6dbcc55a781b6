"""Rules of the code that no linter knows, read off its syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.cosmos import queries as catalogue

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = sorted((ROOT / "shared").rglob("*.py"))
ACROSS_USERS = ["consolidation.py:_scan", "tombstones.py:find_due"]  # the timers' own scans
MAKES_USER_IDS = {
    "shared/http/principal.py",  # a verified principal
    "shared/adapters/cosmos/tombstones.py",  # what one wrote, read back by a timer's scan
    "shared/adapters/cosmos/consolidation.py",
    "shared/adapters/queue/messages.py",  # and handed on by it
}


def calls(path: Path) -> Iterator[tuple[str, ast.Call, str]]:
    """Every call in a file: the called name, the call, the function it stands in."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    name = (
                        node.func.attr
                        if isinstance(node.func, ast.Attribute)
                        else getattr(node.func, "id", "")
                    )
                    yield name, node, function.name


def test_every_query_stays_in_one_partition_f33() -> None:
    """Each query names the partition, but the timers' scans."""
    unbound = [
        f"{path.name}:{function}"
        for path in SHARED
        for name, call, function in calls(path)
        if name == "query_items"
        and "partition_key" not in {keyword.arg for keyword in call.keywords}
    ]
    assert unbound == ACROSS_USERS


def test_every_query_names_its_user_f33() -> None:
    """The second fence: the text itself, but for the constants named ACROSS_USERS."""
    values = {name: value for name, value in vars(catalogue).items() if not name.startswith("__")}
    texts = {
        name: value.values() if isinstance(value, dict) else [value]
        for name, value in values.items()
    }
    queries = {
        name: some for name, some in texts.items() if all("SELECT" in str(text) for text in some)
    }
    assert len(queries) > 10
    unfenced = {
        name
        for name, some in queries.items()
        if not all("c.user_id = @user_id" in text for text in some)
    }
    assert unfenced == {
        "FIND_DUE_TOMBSTONES_ACROSS_USERS",
        "FIND_DUE_SESSIONS_ACROSS_USERS",
        "FIND_DEAD_LETTERED_SESSIONS_ACROSS_USERS",
    }


def test_queries_are_constants_f35() -> None:
    """No query text is put together where it is sent."""
    built = [
        f"{path.name}:{call.lineno}"
        for path in SHARED
        for name, call, _ in calls(path)
        if name == "query_items"
        for text in call.args[:1]
        if any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in ast.walk(text))
    ]
    assert built == []


def test_user_ids_are_made_in_one_place_f33() -> None:
    """A UserId comes from a verified principal; the timers' scans read back what one wrote."""
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in SHARED
        for name, _, _ in calls(path)
        if name == "UserId"
    }
    assert makers == MAKES_USER_IDS


def test_one_module_reads_the_environment_f41() -> None:
    """Settings come from shared/settings.py, which leaves the reading to pydantic-settings."""
    readers = [
        path.name
        for path in SHARED
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    importers = [path.name for path in SHARED if "pydantic_settings" in path.read_text()]
    assert (readers, importers) == ([], ["settings.py"])


@pytest.mark.parametrize(
    "name", ["time.sleep(", "requests.", "urllib.request", "asyncio.run(", "input("]
)
def test_nothing_blocks_the_event_loop(name: str) -> None:
    """No blocking call stands in the deployed code."""
    assert [path.name for path in SHARED if name in path.read_text()] == []


@pytest.mark.parametrize("word", ["handler", "helper", "util", "convo", "manager"])
def test_no_module_has_a_name_that_says_nothing(word: str) -> None:
    """A module is named by its noun."""
    assert [path.name for path in SHARED if word in path.stem] == []
