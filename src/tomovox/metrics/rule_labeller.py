"""Which findings does a report say are there? Rules that anyone can read: terms, denials, doubts.

A report is cut into sentences and these into clauses. A denial or a doubt reaches as far as its
clause does, backwards ("nodules were not observed") or forwards ("no nodule"), there not beyond a
", with". This is the manner of NegEx (Chapman et al., J. Biomed. Inform. 34, 2001) and ConText
(Harkema et al., J. Biomed. Inform. 42, 2009); rules and terms are our own.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache

from tomovox.metrics.rule_terms import TERMS


class Status(IntEnum):
    """What is said of a finding, the surer the higher."""

    ABSENT = 0
    UNCERTAIN = 1
    PRESENT = 2


_SENTENCES = re.compile(r"(?<=[.!?])(?<!\b[Vv][Ss]\.)(?=\s|[^\w\s]|[A-Z])|[;\n•·]+|\"(?=\s*[A-Z])")
_DOUBTED_ASIDES = re.compile(r"\(([^()?]*\?[^()]*)\)")
_MARKS = re.compile(r"[()\"]")
_BREAKS = re.compile(
    r"\b(?:but|however|although|though|except|apart from|other than|while|whereas|despite)\b"
    r"|(?=\bthere (?:is|are|was|were)\b)|(?=\bwithout\b)"
)
_STOPS = re.compile(r", with\b(?! or without\b)")
_JOINTS = re.compile(r"(,\s+(?:and\s+)?|\s+and\s+)")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|cannot|could|shows?|showed|draws?|drew)\b"
)

_SEEN = (
    r"(?:observed|detected|seen|found|identified|noted|present|visuali[sz]ed|demonstrated|shown"
    r"|monitored|distinguished|encountered|appreciated|evident|noticed|determined|discerned)"
)
_EARLIER = r"(?! (?:in|on|at) (?:the |her |his )?(?:previous|prior|old|earlier|last|former))"
_NO_CHANGE = (
    r"(?! (?:\w+ly |significant |obvious |marked |definite |clear |interval |size |relevant )*"
    r"(?:change|difference|increase|decrease|progress|regress|growth|doubt|contrast|interval))"
)
_DENIES_AFTER = re.compile(
    rf"\b(?:no(?! longer\b){_NO_CHANGE}|without{_NO_CHANGE}|absence of|free of|negative for"
    r"|neither|nor|devoid of|rather than|resolution of|instead of)\b|^resolved\b"
)
_DENIES_BEFORE = re.compile(
    rf"\b(?:not|never|no longer)\b(?: (?:been|be|being|yet|clearly|clear|significantly))*"
    rf" {_SEEN}\b{_EARLIER}"
    r"|\b(?:is|are|was|were|has|have)(?: now| completely)? (?:absent|resolved|disappeared)\b"
    r"|\b(?:has|have|had) been (?:excluded|ruled out|removed)\b|\bdisappear\w*"
    r"|: none\b|: (?:no|nil|absent|negative)\.?$"
)
_DENIED_WITHIN = re.compile(r"\b(?:no|not|never|without)\b")
_DOUBTS_AFTER = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|suspected|suspicio(?:us|n)(?: for| of)?|likely|questionable"
    r"|may|might|could|in terms of|to exclude|rule out|evaluat(?:ed|ion) for|differential"
    r"|vs|versus)\b"
)
_DOUBTS_BEFORE = re.compile(
    r"\b(?:can ?not|could not|can't|not)(?: be)?(?: \w+)? (?:excluded|ruled out)\b"
    r"|\b(?:is|are|was|were) (?:suspected|questionable|possible)\b|\b(?:vs|versus)\b|\?"
)
_ANY = re.compile("|".join(term[0] for terms in TERMS.values() for term in terms))
_TERMS = {name: [tuple(map(re.compile, term)) for term in terms] for name, terms in TERMS.items()}

Scope = tuple[int, int, Status]


class RuleLabeller:
    """The labeller `rule`: the 18 findings of CT-RATE, by written rules.

    A finding is there where one mention of it is neither denied nor doubted; a denial elsewhere
    does not take it back ("no effusion on the left; effusion on the right"). It is not RadBERT:
    figures made with the one do not compare with figures made with the other.
    """

    name = "rule-2"
    labels = tuple(TERMS)

    def __call__(self, texts: Sequence[str]) -> list[frozenset[str]]:
        """Return the findings that each text says are there."""
        return [_there(text) for text in texts]


def findings(text: str) -> dict[str, Status]:
    """Return what a text says of each finding that it names: the surest of its mentions."""
    found: dict[str, Status] = {}
    for clause in filter(_ANY.search, _clauses(text)):
        scopes = _scopes(clause)
        for name, terms in _TERMS.items():
            for status in _mentions(clause, terms, scopes):
                found[name] = max(found.get(name, Status.ABSENT), status)
    return found


@lru_cache(maxsize=1 << 14)
def _there(text: str) -> frozenset[str]:
    return frozenset(name for name, said in findings(text).items() if said is Status.PRESENT)


def _clauses(text: str) -> Iterator[str]:
    """Yield the clauses of a text in lower case; a question in parentheses is one of its own."""
    for aside in _DOUBTED_ASIDES.findall(text):
        yield aside.lower()
    for sentence in _SENTENCES.split(_DOUBTED_ASIDES.sub(" ", text)):
        plain = " ".join(_MARKS.sub(" ", sentence).lower().split())
        for part in _BREAKS.split(plain):
            yield from _joined(_JOINTS.split(part))


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Yield parts, every second of which is a joint, in clauses that have a verb each.

    "No nodule was seen, emphysema is observed" is two, "effusion, nodules and a mass were not seen"
    one; what begins with a verb goes on with what stands before it.
    """
    verbs = [bool(_VERB.search(part)) for part in parts[::2]]
    last = max((place for place, verb in enumerate(verbs) if verb), default=-1)
    clause, has_verb = [parts[0]], verbs[0]
    for place, part in enumerate(parts[2::2], start=1):
        if has_verb and place <= last and not _VERB.match(part):
            yield "".join(clause)
            clause, has_verb = [part], verbs[place]
        else:
            clause += [parts[2 * place - 1], part]
            has_verb = has_verb or verbs[place]
    yield "".join(clause)


def _scopes(clause: str) -> list[Scope]:
    """Return from where to where a clause denies or doubts what it names."""
    stops = [*(found.start() for found in _STOPS.finditer(clause)), len(clause)]
    after = ((_DOUBTS_AFTER, Status.UNCERTAIN), (_DENIES_AFTER, Status.ABSENT))
    before = ((_DOUBTS_BEFORE, Status.UNCERTAIN), (_DENIES_BEFORE, Status.ABSENT))
    found = [
        (f.end(), stops[bisect_left(stops, f.end())], said)
        for words, said in after
        for f in words.finditer(clause)
    ]
    return found + [(0, f.start(), said) for words, said in before for f in words.finditer(clause)]


def _mentions(
    clause: str, terms: Sequence[tuple[re.Pattern[str], ...]], scopes: Sequence[Scope]
) -> Iterator[Status]:
    """Yield what a clause says of a finding, each time that it names it."""
    for first, *others in terms:
        if not (first.search(clause) and all(other.search(clause) for other in others)):
            continue
        for mention in first.finditer(clause):
            at = mention.start()
            reached = [said for start, end, said in scopes if start <= at < end]
            if _DENIED_WITHIN.search(mention[0]):
                reached.append(Status.ABSENT)
            yield min(reached, default=Status.PRESENT)
