"""The little language of filters and derived columns, from text to a tree: nothing of it is ever Python's to run.

Literals, columns, arithmetic, comparisons, AND/OR/NOT, IN, IS NULL, LIKE and calls of functions, written as in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from qsuite_console.model.text import clean

LONGEST: Final = 4_000  # characters
_MOST: Final = 400  # words and signs
_DEEPEST: Final = 40
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)|(?P<text>'(?:[^']|'')*')|(?P<quoted>\"(?:[^\"]|\"\")+\")"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign><=|>=|<>|!=|\|\||[-+*/%(),<>=]))"
)
_COMPARING: Final = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "like", "null", "true", "false"})


class BadExpression(ValueError):
    """Why an expression can't be taken, with the place in it."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, truth value or NULL."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function with what it is applied to; ``place`` counts characters from 1."""

    function: str
    arguments: tuple[Node, ...]
    place: int


Node = Constant | Name | Call


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "name" else self.text if self.kind == "sign" else ""


def parse(text: str) -> Node:
    """Return the tree of an expression; raises BadExpression."""
    if len(text) > LONGEST:
        raise BadExpression(f"is longer than {LONGEST:,} characters")
    if "\0" in text:
        raise BadExpression("holds a NUL character")
    tokens = _tokens(text)
    if len(tokens) > _MOST:
        raise BadExpression(f"has more than {_MOST} words and signs")
    return _Parser(tokens).whole()


def split_list(text: str) -> list[str]:
    """Return the parts between commas or semicolons that stand outside of quotes and parentheses."""
    parts, depth, quoted, begin = [], 0, "", 0
    for place, letter in enumerate(text):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter in ",;" and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [part.strip() for part in (*parts, text[begin:]) if part.strip()]


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while place < len(text) and not text[place:].isspace():
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            raise BadExpression(f"can't read {clean(rest, 20)!r} at character {len(text) - len(rest) + 1}")
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind) + 1))
        place = match.end()
    return [*found, _Token("end", "", len(text) + 1)]


class _Parser:
    """Recursive descent; each method reads one level of binding."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._or()
        if self._now.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *words: str) -> str:
        """Step over the token when it is one of these words or signs."""
        word = self._now.word
        if word and word in words:
            self._at += 1
            return word
        return ""

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected(f", expected {word}")

    def _unexpected(self, more: str = "") -> BadExpression:
        token = self._now
        what = "ends too early" if token.kind == "end" else f"{clean(token.text, 30)!r} at character {token.place}"
        return BadExpression(f"{what}{more}" if token.kind == "end" else f"unexpected {what}{more}")

    def _or(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadExpression(f"is nested more than {_DEEPEST} deep")
        node = self._and()
        while True:
            place = self._now.place
            if not self._take("or"):
                self._depth -= 1
                return node
            node = Call("or", (node, self._and()), place)

    def _and(self) -> Node:
        node = self._not()
        while True:
            place = self._now.place
            if not self._take("and"):
                return node
            node = Call("and", (node, self._not()), place)

    def _not(self) -> Node:
        place, negations = self._now.place, 0
        while self._take("not"):
            negations += 1
        node = self._comparison()
        return Call("not", (node,), place) if negations % 2 else node

    def _comparison(self) -> Node:
        node = self._sum()
        place = self._now.place
        if sign := self._take(*_COMPARING):
            return Call(_COMPARING[sign], (node, self._sum()), place)
        if self._take("is"):
            negated = self._take("not")
            self._need("null")
            found: Node = Call("is null", (node,), place)
            return Call("not", (found,), place) if negated else found
        negated = self._take("not")
        if self._take("in"):
            self._need("(")
            found = Call("in", (node, *self._arguments()), place)
        elif self._take("like"):
            found = Call("like", (node, self._sum()), place)
        elif negated:
            raise self._unexpected(", expected in or like")
        else:
            return node
        return Call("not", (found,), place) if negated else found

    def _sum(self) -> Node:
        node = self._product()
        while True:
            place = self._now.place
            if not (sign := self._take("+", "-", "||")):
                return node
            node = Call(sign, (node, self._product()), place)

    def _product(self) -> Node:
        node = self._signed()
        while True:
            place = self._now.place
            if not (sign := self._take("*", "/", "%")):
                return node
            node = Call(sign, (node, self._signed()), place)

    def _signed(self) -> Node:
        place, negations = self._now.place, 0
        while sign := self._take("-", "+"):
            negations += sign == "-"
        node = self._primary()
        return Call("negative", (node,), place) if negations % 2 else node

    def _primary(self) -> Node:
        token = self._now
        if token.kind == "number":
            self._at += 1
            return Constant(int(token.text) if token.text.isdigit() else Decimal(token.text))
        if token.kind == "text":
            self._at += 1
            return Constant(token.text[1:-1].replace("''", "'"))
        if token.kind == "quoted":
            self._at += 1
            return Name(token.text[1:-1].replace('""', '"'))
        if self._take("("):
            node = self._or()
            self._need(")")
            return node
        if token.word in ("null", "true", "false"):
            self._at += 1
            return Constant({"null": None, "true": True, "false": False}[token.word])
        return self._named(token)

    def _named(self, token: _Token) -> Node:
        if token.kind != "name" or token.word in _RESERVED:
            raise self._unexpected()
        self._at += 1
        if self._take("("):
            return Call(token.text.lower(), tuple(self._arguments()), token.place)
        return Name(token.text)

    def _arguments(self) -> list[Node]:
        """Read what stands before the closing parenthesis."""
        if self._take(")"):
            return []
        found = [self._or()]
        while self._take(","):
            found.append(self._or())
        self._need(")")
        return found
