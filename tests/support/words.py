"""Words and phrases that we do not write, in the documentation and in the code."""

import re
from collections.abc import Iterator

# What we do not write, and what we write instead.
INSTEAD = {
    # one term per concept (docs/glossary.md)
    r"graves?": "tombstone",
    r"hearings?": "generation",
    r"openings": "a turn in progress, an attempt",
    r"packs?|packed": "context preview",
    r"pieces?|piece by piece": "chunk",
    r"passages?": "excerpt, turn",
    r"parked|parks?|revived?": "dead-lettered, requeue",
    r"last times?": "recent session",
    r"words alone|by (?:its |their )?words": "by keywords",
    r"kept with a session|values? of a session": "session data",
    # states and errors
    r"(?:is|are|was|were|be|stays?) away": "is unavailable",
    r"silly": "invalid",
    r"stops? the start": "refuses to start",
    r"(?:is|are) believed": "is trusted",
    r"mend(?:s|ed|ing)?": "fix",
    r"anew": "again; start over",
    r"twice is harmless|harmless to repeat": "idempotent",
    r"for good and all|for want of": "permanently; because there is no ...",
    # turns of phrase
    r"told of|(?:is|are|be) told": "is included, is given",
    r"stands? beside|stand(?:s|ing)? (?:on|in) (?:it|them)": "is stored with",
    r"(?<!there )(?:is|are|was|were) no (?!(?:longer|more|earlier|later)\b)\w+": "is not a ...",
    r"has to do with|have to do with": "is relevant to",
    r"hang(?:s|ing)? up": "close the connection",
    r"whoever only": "a caller who only",
    r"reckon(?:s|ed|ing)?(?: with)?": "estimate, assume",
    r"today and in all": "today and in total",
    r"the like of|means the like": "similar to",
    r"in so many (?:tries|seconds)": "a number of",
    r"what goes for": "the rules for",
    r"goes? its whole way": "works from end to end",
    r"at its beginning": "at its start",
    r"(?<!the )beginnings?|begins?|began|begun": "start",
    r"for ever": "forever, permanently",
    r"so many \w+": "at most n seconds, `tokens`",
    r"whoever": "a caller who ...",
    r"hands? on|handed on": "pass on",
    r"unfit": "invalid",
}
PHRASES = [
    (re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), better) for phrase, better in INSTEAD.items()
]
FREE_WHO = re.compile(r"(?:^|[.:;!?|] +)Who [^?|]*?\.(?= |$)", re.MULTILINE)
PHRASES.append((FREE_WHO, "A caller who ..."))
WRAP = re.compile(r"(?<!\n)\n(?=[^\n|#-])")  # a line break within a paragraph


def find_phrases(prose: str) -> Iterator[str]:
    """Each phrase that we do not use, with its line and what to write instead."""
    paragraphs = WRAP.sub(" ", prose)
    for phrase, better in PHRASES:
        for found in phrase.finditer(paragraphs):
            number = prose.count("\n", 0, found.start()) + 1
            yield f'line {number}: "{found[0]}": write "{better}"'
