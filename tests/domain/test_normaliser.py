"""The normaliser: whatever is stored, providers accept what is sent."""

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.messages import FunctionCall, Message, ToolCall
from shared.domain.normaliser import ASSISTANT_STARTS, normalise, pair_tools
from tests.support.build import a_call, a_message, a_result
from tests.support.strict_provider import violations


def an_answer(content: str = "Well") -> Message:
    """An assistant's message."""
    return a_message(content, role="assistant")


def request_of(messages: tuple[Message, ...], *, with_tools: bool = True) -> dict[str, Any]:
    """The messages as they would be sent."""
    sent = [message.model_dump(exclude={"at"}, exclude_defaults=True) for message in messages]
    roles = [{"role": message.role} for message in messages]
    both = [one | role for one, role in zip(sent, roles, strict=True)]
    return {"messages": both} | ({"tools": ["f"]} if with_tools else {})


def calling(arguments: str) -> Message:
    """A call with these arguments."""
    call = ToolCall(id="c1", function=FunctionCall(name="look_up", arguments=arguments))
    return a_message("", role="assistant", tool_calls=(call,))


KINDS = {
    "system": [a_message("Be brief", role="system")],
    "user": [a_message()],
    "named": [a_message(name="Ada")],
    "answer": [an_answer()],
    "empty": [an_answer("")],
    "call": [a_call()],
    "result": [a_result()],
    "pair": [a_call(), a_result()],
    "cut off": [calling('{"id": '), a_result()],
    "no arguments": [calling(""), a_result()],
    "a list": [calling("[1]"), a_result()],
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=12), st.booleans())
def test_any_history_becomes_acceptable_f55(kinds: list[str], with_tools: bool) -> None:  # noqa: FBT001
    """Alternating, one system message first, every call with its result and valid arguments."""
    messages = list(chain.from_iterable(KINDS[kind] for kind in [*kinds, "user"]))
    sent = normalise(messages, with_tools=with_tools)
    assert violations(request_of(sent, with_tools=with_tools)) == []
    assert sent[-1].role == "user"


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=12), st.booleans())
def test_normalising_is_idempotent(kinds: list[str], with_tools: bool) -> None:  # noqa: FBT001
    """A list that is acceptable stays as it is."""
    once = normalise(
        list(chain.from_iterable(KINDS[kind] for kind in kinds)), with_tools=with_tools
    )
    assert normalise(once, with_tools=with_tools) == once


def test_nothing_that_was_said_is_lost() -> None:
    """Texts are joined, not dropped, and stay in their order."""
    texts = ["one", "two", "three"]
    (system, user) = normalise(
        [
            a_message("rule", role="system"),
            *map(a_message, texts),
            a_message("more", role="system"),
        ],
        with_tools=True,
    )
    assert system.content == "rule\n\nmore"
    assert user.content == "one\n\ntwo\n\nthree"


def test_an_assistant_that_speaks_first_is_announced() -> None:
    """A bot's greeting stays, below a line that stands for the user's turn."""
    sent = normalise([an_answer("Welcome!"), a_message("Hi")], with_tools=True)
    assert [message.content for message in sent] == [ASSISTANT_STARTS, "Welcome!", "Hi"]


def test_without_tools_calls_are_told_as_text() -> None:
    """What a tool answered stays known when the request no longer offers tools."""
    sent = normalise(
        [a_message(), a_call(), a_result(), an_answer(), a_message()], with_tools=False
    )
    text = "\n".join(message.content for message in sent)
    assert ("look_up" in text, "42" in text) == (True, True)


@given(st.lists(st.sampled_from(["user", "call", "result", "pair"]), max_size=12))
def test_a_tool_call_is_never_cut_from_its_result(kinds: list[str]) -> None:
    """In every prompt each result follows its call, and each call has its result."""
    messages = list(chain.from_iterable(KINDS[kind] for kind in kinds))
    kept = pair_tools(messages)
    assert [m for m in kept if m.role == "user"] == [m for m in messages if m.role == "user"]
    assert sum(m.role == "tool" for m in kept) >= kinds.count("pair")


def test_the_text_of_an_unanswered_call_stays() -> None:
    """Only the call is dropped."""
    kept = pair_tools([a_call().model_copy(update={"content": "Let me see"}), a_message("And?")])
    assert [(m.content, m.tool_calls) for m in kept] == [("Let me see", ()), ("And?", ())]


@pytest.mark.parametrize("arguments", ["", "{", '{"id": ', "null", "[1]", "7", "[" * 100_000])
def test_arguments_that_were_cut_off_become_an_empty_object_f55(arguments: str) -> None:
    """A reply that ended in the middle of its arguments does not stop every later turn."""
    call, _ = pair_tools([calling(arguments), a_result()])
    assert call.tool_calls[0].function.arguments == "{}"
