"""Keywords: the words of a message that its topic can be searched by."""

import re

MAX_KEYWORDS = 10  # per search: questions rarely have more, and each one costs request units
MAX_KEYWORD_CHARS = 64  # longer ones, such as pasted keys, are truncated and still match
UNSPACED = "\u0e00"  # scripts from here on mostly have no spaces between words
LETTERS_PER_WORD = 2  # in those scripts, roughly
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_STOP_TEXT = """
a about above after again all also am an and any anything are aren't as ask at be because been
before being below between both but by can can't cannot could couldn't did didn't do does doesn't
doing don't down during each else ever every few for from further get give given go going gonna
got had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself him
himself his how how's i i'd i'll i'm i've if in into is isn't it it's its itself just know let
let's like lot made make many may maybe me might mine more most much must my myself need no nor
not now of off on once one only onto or other our ours ourselves out over own perhaps please quite
rather really said same say says shall she she'd she'll she's should shouldn't so some something
such sure tell than that that's the their theirs them themselves then there there's these they
they'd they'll they're they've thing things think this those through to told too under until up
upon us very want wants was wasn't way we we'd we'll we're we've well were weren't what what's
when when's where where's which while who who's whom why why's will with won't would wouldn't yes
yet you you'd you'll you're you've your yours yourself yourselves bye goodbye great hello hey hi
ok okay thank thanks amazing awesome cool fine glad good help helped helps hope look looked looks
nice nope sorry sound sounds welcome wow yeah yep
"""
_STOP_WORDS = frozenset(_STOP_TEXT.split())


def extract_keywords(text: str) -> tuple[str, ...]:
    """The distinct keywords of a text, in lower case and in order.

    Of more than MAX_KEYWORDS the longest ones stay: they are the rarest.
    """
    found = [word.lower().replace("\u2019", "'").removesuffix("'s") for word in _WORD.findall(text)]
    keywords = list(dict.fromkeys(word[:MAX_KEYWORD_CHARS] for word in found if _is_keyword(word)))
    longest = set(sorted(keywords, key=len, reverse=True)[:MAX_KEYWORDS])
    return tuple(word for word in keywords if word in longest)


def count_words(words: tuple[str, ...]) -> int:
    """Estimate how many words these are: unspaced scripts run several together."""
    return sum(1 if word[0] < UNSPACED else -(-len(word) // LETTERS_PER_WORD) for word in words)


def _is_keyword(word: str) -> bool:
    return word not in _STOP_WORDS and (len(word) > 1 or word.isdigit() or word >= UNSPACED)
