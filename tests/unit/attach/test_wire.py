from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
import pytest

from qsuite_console.cache.errors import CacheDown
from qsuite_console.engine.state import ConsoleState, TargetView
from qsuite_console.model import errors
from qsuite_console.model.health import Figure, Level, Reading, Snapshot
from qsuite_console.model.jobs import Progress
from qsuite_console.model.market import CoverageMap
from qsuite_console.model.wire import (
    ErrorAnswer,
    ErrorBody,
    ProbeAnswer,
    pack_answer,
    pack_error,
    unpack_answer,
    unpack_error,
)


def across(error: errors.ConsoleError) -> errors.ConsoleError:
    body = msgspec.json.encode(ErrorAnswer(error=pack_error(error)))
    return unpack_error(msgspec.json.decode(body, type=ErrorAnswer).error)


@pytest.mark.parametrize(
    "error",
    [
        errors.ConsoleError("broken", hint="mend it"),
        errors.UsageProblem("wrong"),
        errors.NotFound("no job 7", hint="list them"),
        errors.Conflict("finished"),
        errors.ReadOnly("only looking"),
        errors.HistoryUnavailable("disk full"),
        errors.HistoryOwned("taken", owner="pid 1 on db-1", hint="attach"),
        errors.InvalidParameters({"start": "after end", "": "nothing to do"}, hint="see --help"),
    ],
)
def test_errors_keep_type_message_hint_and_exit_code(error: errors.ConsoleError) -> None:
    got = across(error)
    assert type(got) is type(error)
    assert (got.message, got.hint, got.exit_code, str(got)) == (error.message, error.hint, error.exit_code, str(error))
    assert getattr(got, "problems", None) == getattr(error, "problems", None)
    assert getattr(got, "owner", None) == getattr(error, "owner", None)


def test_an_error_of_a_driver_package_crosses_as_what_it_is_to_a_front_end() -> None:
    body = pack_error(CacheDown("can't reach the cache", hint="start it"))
    assert (body.type, body.name) == ("ConsoleError", "CacheDown")
    got = unpack_error(body)
    assert type(got) is errors.ConsoleError
    assert (got.message, got.hint) == ("can't reach the cache", "start it")


@pytest.mark.parametrize("name", ["Nonsense", "annotations", "__builtins__", "", "Exception"])
def test_a_name_from_the_wire_never_becomes_more_than_an_error(name: str) -> None:
    got = unpack_error(ErrorBody(type=name, message="x"))
    assert type(got) is errors.ConsoleError


def test_answers_come_back_as_the_structs_they_were() -> None:
    answer = CoverageMap(table="t", timeframe="1Day", months=("2025-01",), rows=())
    body = msgspec.json.encode(pack_answer(answer))
    assert unpack_answer(msgspec.json.decode(body, type=ProbeAnswer)) == answer


class Foreign(msgspec.Struct):
    x: int = 1


def test_only_structs_of_the_model_may_cross() -> None:
    with pytest.raises(errors.ConsoleError, match="Foreign"):
        pack_answer(Foreign())
    for name in ("os.system", "market.Nonsense", "errors.ConsoleError", "tests.Foreign", ""):
        with pytest.raises(errors.ConsoleError, match="unknown"):
            unpack_answer(ProbeAnswer(type=name, value=msgspec.Raw(b"{}")))


def test_a_whole_state_survives_json_with_what_is_not_a_number() -> None:
    figure = Figure(name="x", label="x", text="?", value=math.nan, level=Level.UNKNOWN)
    reading = Reading(source="host", title="Host", level=Level.OK, headline=figure, history=(1.0, None, math.inf))
    state = ConsoleState(
        target=TargetView(word="SANDBOX"),
        started_at=datetime(2026, 11, 20, tzinfo=UTC),
        snapshot=Snapshot(readings=(reading,)),
    )
    text = msgspec.json.encode(state)
    assert b"NaN" not in text
    assert b"Infinity" not in text
    got = msgspec.json.decode(text, type=ConsoleState)
    assert got.target == state.target
    assert got.snapshot.readings[0].headline.value is None
    assert got.snapshot.readings[0].history == (1.0, None, None)
    assert msgspec.json.decode(msgspec.json.encode(Progress(figures={"a": 1, "b": "c"})), type=Progress).figures == {
        "a": 1,
        "b": "c",
    }
