"""What is typed after ``/`` over rows with named fields: words, !not, /regex/ and field:value, all must match. Pure.

The same language as for jobs, for rows that are here already.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean

_TOKEN = re.compile(r"!?/(?:[^/\\]|\\.)+/|\S+")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: a text or pattern in a field ("" is any), or not in it."""

    field: str
    texts: tuple[str, ...] = ()  # any of them
    pattern: re.Pattern[str] | None = None
    is_not: bool = False

    def matches(self, fields: Mapping[str, str], whole: str) -> bool:
        """Return whether the row has it; ``whole`` is all its text."""
        there = fields.get(self.field, "") if self.field else whole
        if self.pattern is not None:
            found = self.pattern.search(there) is not None
        elif there.isdigit():
            found = there in self.texts  # a number is meant as it is: pid:12 is not 4712
        else:
            found = any(text in there.lower() for text in self.texts)
        return found is not self.is_not


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A parsed filter; the empty one matches every row."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Return whether a row with these fields is wanted."""
        if not self.terms:
            return True
        whole = " ".join(fields.values())
        return all(term.matches(fields, whole) for term in self.terms)


def parse(text: str, fields: Collection[str]) -> RowFilter:
    """Return the filter; raises UsageProblem naming the part that can't be understood."""
    terms = []
    for token in _TOKEN.findall(text):
        is_not, plain = token.startswith("!"), token.removeprefix("!")
        if len(plain) > 1 and plain.startswith("/") and plain.endswith("/"):
            terms.append(Term("", pattern=_pattern(plain[1:-1]), is_not=is_not))
            continue
        name, colon, value = plain.partition(":")
        if plain.startswith("/") or not plain or (colon and name in fields and not value):
            continue  # still being typed
        field = name if colon and name in fields else ""
        sought = value if field else plain
        texts = tuple(part for part in sought.lower().split(",") if part) if field else (sought.lower(),)
        terms.append(Term(field, texts=texts, is_not=is_not))
    return RowFilter(text.strip(), tuple(terms))


def _pattern(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source, re.IGNORECASE)
    except re.error as error:
        raise UsageProblem(f"/{clean(source, 40)}/ is not a regular expression: {error.msg}") from error
