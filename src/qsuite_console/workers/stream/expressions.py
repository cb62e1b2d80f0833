"""Expressions made into functions of a row: names become places, operators and functions what they do."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from qsuite_console.model.text import clean
from qsuite_console.workers.stream import algebra, functions
from qsuite_console.workers.stream.algebra import Compiled
from qsuite_console.workers.stream.syntax import BadExpression, Constant, Name, Node
from qsuite_console.workers.stream.values import Kind


class Scope:
    """Columns that may be named: name -> (place in the row, kind)."""

    def __init__(self, columns: Mapping[str, tuple[int, Kind]]) -> None:
        self.columns = columns

    def find(self, name: str) -> tuple[int, Kind]:
        """Return a column as it is named, or in lower case, as SQL does; raises BadExpression."""
        for each in (name, name.lower()):
            if each in self.columns:
                return self.columns[each]
        raise BadExpression(f"there is no column {clean(name, 60)}; known are {clean(', '.join(self.columns), 300)}")


def compile_node(node: Node, scope: Scope) -> Compiled:
    """Return a tree as a function of a row; raises BadExpression for what is unknown or does not fit."""
    if isinstance(node, Constant):
        value = node.value
        return Compiled(_kind_of_constant(value), lambda row: value, value)
    if isinstance(node, Name):
        place, kind = scope.find(node.name)
        return Compiled(kind, operator.itemgetter(place))
    made = [compile_node(argument, scope) for argument in node.arguments]
    builder = _BUILDERS.get(node.function)
    if builder is None:
        raise BadExpression(f"there is no function {clean(node.function, 40)}; known are {', '.join(FUNCTIONS)}")
    least, most, build = builder
    if not least <= len(made) <= most:
        raise BadExpression(f"{node.function} takes {least if least == most else f'{least} or more'} arguments")
    try:
        return build(node.function, made)
    except BadExpression as error:
        raise BadExpression(f"{error} (at character {node.place})") from None


def _kind_of_constant(value: Any) -> Kind:
    kinds = {type(None): Kind.NOTHING, bool: Kind.BOOLEAN, int: Kind.INTEGER, Decimal: Kind.NUMBER}
    return kinds.get(type(value), Kind.TEXT)


_MANY: Final = 100
_Build = Callable[[str, list[Compiled]], Compiled]
_BUILDERS: Final[Mapping[str, tuple[int, int, _Build]]] = {
    **dict.fromkeys("+-*/%", (2, 2, algebra.arithmetic)),
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), (2, 2, algebra.compare)),
    **dict.fromkeys(("and", "or"), (2, 2, algebra.both)),
    "not": (1, 1, algebra.negation),
    "is null": (1, 1, algebra.is_null),
    "in": (2, _MANY, algebra.contained),
    "like": (2, 2, algebra.like),
    "||": (2, 2, functions.joined),
    **dict.fromkeys(("negative", "abs", "floor", "ceil"), (1, 1, functions.of_number)),
    "round": (1, 2, functions.of_number),
    **dict.fromkeys(("upper", "lower", "trim", "length"), (1, 1, functions.of_text)),
    **dict.fromkeys(("starts_with", "contains"), (2, 2, functions.of_text)),
    "replace": (3, 3, functions.of_text),
    "substr": (2, 3, functions.substr),
    "concat": (1, _MANY, functions.concat),
    "coalesce": (1, _MANY, functions.coalesce),
    **dict.fromkeys(("greatest", "least"), (1, _MANY, functions.extreme)),
    "nullif": (2, 2, functions.nullif),
    "if": (3, 3, functions.choice),
    "date": (1, 1, functions.date_of),
}
_SIGNS: Final = ("and", "or", "not", "in", "like", "negative")
FUNCTIONS: Final = tuple(name for name in _BUILDERS if name.isidentifier() and name not in _SIGNS)
