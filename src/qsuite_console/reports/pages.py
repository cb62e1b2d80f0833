"""A document as one self-contained page of HTML: for a browser, and for the renderer of PDF.

Escaping is always on and an unknown name is an error. A template of the operator's own runs in Jinja's sandbox: it may
take the page's blocks over, but reaches nothing beyond the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from qsuite_console.reports.charts import draw_bars, draw_lines, draw_map, draw_spark
from qsuite_console.reports.document import BarChart, Cell, Column, Document, HeatMap, LineChart

PROGRAM: Final = "qsuite-console"
CUSTOM: Final = "custom.html"
_GOOD, _FAIR = 80.0, 50.0
_SHORT: Final = 22  # characters that are not broken into lines


class TemplateProblem(Exception):
    """A template can't be used, and where in it."""


def make_page(document: Document, template: str | None = None) -> str:
    """Return the document as HTML, by the operator's own template if one is given; raises TemplateProblem."""
    environment = _environment(template)
    try:
        return environment.get_template(CUSTOM if template is not None else "report.html").render(
            document=document,
            cover=document.cover,
            sections=document.sections,
            columns=[column.title for table in document.tables[:1] for column in table.columns],
            rows=[_named(table.columns, row) for table in document.tables[:1] for row in table.rows],
            program=PROGRAM,
            style=Markup(_source("report.css")),
        )
    except jinja2.TemplateSyntaxError as error:
        raise TemplateProblem(f"line {error.lineno} of {error.name or 'the template'}: {error.message}") from error
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        if template is None:  # ours: a fault of the program, not of whoever asked
            raise
        raise TemplateProblem(f"{error}{_line_of(error)}") from error


@cache
def _source(name: str) -> str:
    return files("qsuite_console.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _environment(template: str | None) -> jinja2.Environment:
    own = {name: _source(name) for name in ("report.html", "blocks.html")}
    if template is not None:
        own[CUSTOM] = template
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader(own),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        kind=_kind, draw=_draw, classes=_classes, field=_field, score_tone=_score_tone, score_word=_score_word
    )
    return environment


def _named(columns: tuple[Column, ...], row: tuple[Cell, ...]) -> Mapping[str, Any]:
    return {
        column.title: cell.text if cell.value is None else cell.value for column, cell in zip(columns, row, strict=True)
    }


def _kind(block: Any) -> str:
    return str(block.__struct_config__.tag)


def _draw(block: Any) -> Markup:
    if isinstance(block, LineChart):
        return Markup(draw_lines(block))
    if isinstance(block, BarChart):
        return Markup(draw_bars(block))
    if isinstance(block, HeatMap):
        return Markup(draw_map(block))
    raise TypeError(f"{type(block).__name__} can't be drawn")


def _classes(pair: tuple[Column, Cell]) -> Markup:
    column, cell = pair
    is_short = not column.is_number and not column.is_wide and len(cell.text) <= _SHORT
    own = ("number" if column.is_number else "", "wide-column" if column.is_wide else "", "short" if is_short else "")
    names = " ".join(name for name in (*own, cell.tone) if name)
    return Markup(' class="{}"').format(names) if names else Markup("")


def _field(cell: Cell) -> Markup:
    return Markup(draw_spark(cell.curve)) if cell.curve else escape(cell.text)


def _score_tone(value: float | None) -> str:
    if value is None:
        return "faint"
    return "good" if value >= _GOOD else "warn" if value >= _FAIR else "bad"


def _score_word(value: float | None) -> str:
    if value is None:
        return "too little is known"
    return "good" if value >= _GOOD else "fair" if value >= _FAIR else "poor"


def _line_of(error: BaseException) -> str:
    """Return where in the operator's template it went wrong, if that is known."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") is not None or trace.tb_frame.f_code.co_filename in (
            "<template>",
            CUSTOM,
        ):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
