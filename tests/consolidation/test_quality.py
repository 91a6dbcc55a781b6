"""How many of a user's facts survive in a summary of 200 tokens."""

import random
from collections.abc import Sequence

import pytest

from cosmos_local import LocalCosmos
from shared.adapters.language.tokens import TiktokenCounter
from tests.support.app import Keepsake, running
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

SHORT = [
    ("My cat is Mina.", "Mina"),
    ("I live in Oslo.", "Oslo"),
    ("My boss is Karin.", "Karin"),
    ("I am vegan.", "vegan"),
    ("My son is Emil.", "Emil"),
    ("I drive a Saab.", "Saab"),
    ("I play the cello.", "cello"),
    ("My birthday is 3 May.", "3 May"),
    ("I hate coriander.", "coriander"),
    ("I work at Statkraft.", "Statkraft"),
    ("My sister is Ingrid.", "Ingrid"),
    ("I speak Polish.", "Polish"),
    ("My shoe size is 43.", "43"),
    ("I run marathons.", "marathons"),
    ("I own 2 kayaks.", "kayaks"),
    ("My wife is Nora.", "Nora"),
    ("I fear heights.", "heights"),
    ("My dog is Rex.", "Rex"),
    ("I collect stamps.", "stamps"),
    ("I was born in Gdansk.", "Gdansk"),
    ("My flat has 3 rooms.", "3 rooms"),
    ("I bank with DNB.", "DNB"),
    ("I like jazz.", "jazz"),
    ("My doctor is Holm.", "Holm"),
    ("I swim on Mondays.", "Mondays"),
    ("I fly to Rome in June.", "Rome"),
    ("My car is red.", "red"),
    ("I use Linux.", "Linux"),
    ("I need a new visa.", "visa"),
    ("My bike is stolen.", "stolen"),
]
NATURAL = [
    ("By the way, the cat we took in last week is called Mina.", "Mina"),
    ("We moved to Oslo two years ago, for the sake of the children.", "Oslo"),
    ("Karin, who is my boss, wants it by the end of the month.", "Karin"),
    ("I have not eaten any meat since I became vegan.", "vegan"),
    ("Our youngest is called Emil and has just learned to walk.", "Emil"),
    ("It would have to fit into the back of my old Saab.", "Saab"),
    ("I used to play the cello in an orchestra.", "cello"),
    ("It should arrive before my birthday on 3 May.", "3 May"),
    ("Whatever you suggest, I cannot stand coriander.", "coriander"),
    ("These days I am an engineer at Statkraft.", "Statkraft"),
    ("My sister Ingrid told me about you.", "Ingrid"),
    ("At home we speak Polish with my parents.", "Polish"),
    ("They only ever have them in other sizes than 43, which is mine.", "43"),
    ("In autumn I am going to run one of the big marathons.", "marathons"),
    ("There are two kayaks in our garage.", "kayaks"),
    ("Nora and I have been married for ten years.", "Nora"),
    ("I would rather not, heights make me dizzy.", "heights"),
    ("I have to walk Rex twice a day.", "Rex"),
    ("As a child I began to collect stamps, and never stopped.", "stamps"),
    ("I grew up in Gdansk, by the sea.", "Gdansk"),
    ("With 3 rooms our flat is too small for a workshop.", "3 rooms"),
    ("I have been with DNB, my bank, since I was a student.", "DNB"),
    ("In the evening I like to listen to jazz.", "jazz"),
    ("Doctor Holm says that I should sleep more.", "Holm"),
    ("Not on Mondays, that is when I go swimming.", "Mondays"),
    ("In June we are flying to Rome for a week.", "Rome"),
    ("You cannot miss it, ours is the red car.", "red car"),
    ("It must run on Linux, I have nothing else.", "Linux"),
    ("Before that I need to apply for a new visa.", "visa"),
    ("Somebody has stolen my bike again.", "stolen"),
]
SMALL_TALK = [
    "Could you tell me more about that?",
    "That is interesting, and what would you do next?",
    "Thanks, that was quite helpful.",
    "Please explain the second point in other words, a bit longer if possible.",
    "The weather has been changing all the time around here lately.",
    "How does one usually go about this?",
]


async def record_conversation(
    keepsake: Keepsake, turns: int, facts: Sequence[tuple[str, str]]
) -> None:
    """Record a long conversation with a fact now and then."""
    rng = random.Random(11)  # noqa: S311 - the same conversation each time
    facts_by_turn = dict(zip(sorted(rng.sample(range(turns), len(facts))), facts, strict=True))
    async with keepsake.client() as client:
        for n in range(turns):
            talk = rng.choice(SMALL_TALK)
            message = f"{talk} {facts_by_turn[n][0]}" if n in facts_by_turn else talk
            answer = "Certainly. " + "Here is a longer explanation of it. " * 10
            turn = {
                "messages": [
                    {"role": "user", "content": message},
                    {"role": "assistant", "content": answer},
                ]
            }
            assert (await client.put(f"/sessions/s/turns/t{n}", json=turn)).status_code == 201
            await keepsake.run_jobs()
        assert (await client.post("/sessions/s/consolidate")).status_code == 200


@pytest.mark.parametrize(
    ("summariser", "facts", "minimum"),
    [("model", SHORT, 24), ("extractive", SHORT, 24), ("extractive", NATURAL, 10)],
    ids=["model", "extractive, short sentences", "extractive, natural sentences"],
)
async def test_facts_survive_in_the_summary(
    cosmos: LocalCosmos,
    model: ModelServer,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    summariser: str,
    facts: Sequence[tuple[str, str]],
    minimum: int,
) -> None:
    """Of 30 facts in 120 turns, over several chunks, enough are left in the summary."""
    async with running(cosmos, model, summariser=summariser, summary_chunk_tokens=2000) as keepsake:
        await record_conversation(keepsake, 120, facts)
        text = (await keepsake.get("/sessions/s"))["summary"]["text"]
    tokens = TiktokenCounter()
    tokens.load()
    left = sum(word in text for _, word in facts)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{request.node.callspec.id}: "
            f"{left} of {len(facts)} facts in {tokens.count(text)} tokens"
        )
    assert left >= minimum
    assert tokens.count(text) <= 200
