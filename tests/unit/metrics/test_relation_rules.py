"""Rules on full scans, partitions and page protection over made-up facts; what two looks at counters give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qsuite_console.db.settings import ServerFacts, Setting
from qsuite_console.metrics.advice.objects import object_findings
from qsuite_console.metrics.advice.relations import WORST, relation_findings
from qsuite_console.metrics.statements import WINDOW_S, Sample, Window, added, grown, name_of
from qsuite_console.model.advice import Finding, Severity
from qsuite_console.model.statements import Counters

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNTERS = {"at": 0.0, "reset": None}
SESSIONS = {"sessions": 5, "usable": 97, "hidden": 0}


def server(settings: dict[str, str] | None = None, **rows: list[dict[str, Any]]) -> ServerFacts:
    return ServerFacts(
        server={"version_num": 170002, "now": NOW},
        settings={name: Setting(name=name, setting=value) for name, value in (settings or {}).items()},
        before=COUNTERS,
        after={**COUNTERS, "at": 2.0},
        sessions=SESSIONS,
        rows=rows,
    )


def scan(name: str = "public.orders", **more: Any) -> dict[str, Any]:
    return {"name": name, "live": 2_000_000, "scans": 400, "read": 8e8, "fetched": 1e6, "since": None, **more}


def horizon(days: float, **more: Any) -> dict[str, Any]:
    return {
        "name": "public.price_ticks", "partitions": 5, "until": NOW + timedelta(days=days), "inserted": 100.0,
        "days": days, "strays_in": "public.price_ticks_default", "strays": 0, "next_month": "CREATE TABLE …;", **more,
    }  # fmt: skip


def found(facts: ServerFacts) -> list[Finding]:
    return list(relation_findings(facts))


def test_a_big_table_that_is_read_whole_is_named_with_its_evidence() -> None:
    (finding,) = found(server(advice_scans=[scan()]))
    assert (finding.id, finding.subject, finding.severity) == ("PG19", "public.orders", Severity.INFO)
    texts = {evidence.name: evidence.text for evidence in finding.evidence}
    assert texts["full scans"] == "400"
    assert texts["rows a scan"] == "2,000,000"
    assert texts["of all rows read"] == "99.9 %"
    assert texts["since"] == "the counters were never reset"


def test_full_scans_beside_many_lookups_are_nobody_s_trouble_and_few_are_named() -> None:
    assert found(server(advice_scans=[scan(fetched=9e8)])) == []
    many = found(server(advice_scans=[scan(f"public.t{number}") for number in range(9)]))
    assert len(many) == WORST
    assert {evidence.text for one in many for evidence in one.evidence if evidence.name == "tables affected"} == {"9"}


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        (horizon(100), None),
        (horizon(35), None),
        (horizon(34.9), Severity.WARNING),
        (horizon(-3), Severity.WARNING),
        (horizon(20, strays_in=None, strays=None), Severity.WARNING),
        (horizon(5, strays_in=None, strays=None), Severity.CRITICAL),
        (horizon(-3, strays_in=None, strays=None), Severity.CRITICAL),
        (horizon(-300, inserted=0.0), None),
    ],
)
def test_partitions_must_reach_five_weeks_ahead_of_tables_that_rows_come_into(
    row: dict[str, Any], severity: Severity | None
) -> None:
    findings = found(server(advice_horizon=[row]))
    assert [finding.severity for finding in findings] == ([] if severity is None else [severity])
    assert all(finding.id == "PG21" and finding.fix == "CREATE TABLE …;" for finding in findings)


def test_rows_in_the_default_partition_are_told_of() -> None:
    (finding,) = found(server(advice_horizon=[horizon(90, strays=17)]))
    assert finding.id == "PG21"
    assert {evidence.name: evidence.text for evidence in finding.evidence}["rows"] == "17"
    assert (
        found(server(advice_horizon=[horizon(90, strays=17), horizon(-1, strays=3)]))[-1].severity is Severity.CRITICAL
    )


def test_sparse_wal_and_missing_checksums_are_mentioned() -> None:
    bad = {"wal_level": "minimal", "archive_mode": "off", "data_checksums": "off"}
    findings = found(server(bad))
    assert {finding.subject: finding.id for finding in findings} == {"wal_level": "PG22", "data_checksums": "PG22"}
    assert "ALTER SYSTEM" in findings[0].fix
    assert found(server({"wal_level": "replica", "archive_mode": "off", "data_checksums": "on"})) == []
    assert "PG22" in {finding.id for finding in object_findings(server(bad))}, "the advisor asks these rules too"


# statements


def counters(calls: float, ms: float = 0.0, jit: float | None = None) -> Counters:
    return Counters(calls=calls, total_ms=ms, rows=calls, jit_ms=jit)


def sample(seconds: float, *, since: datetime | None = NOW) -> Sample:
    return Sample(NOW + timedelta(seconds=seconds), since, {})


def test_what_grew_is_a_difference_and_nothing_where_it_was_counted_anew() -> None:
    assert grown(counters(9, 90.0, 5.0), counters(4, 40.0, 2.0)) == counters(5, 50.0, 3.0)
    assert grown(counters(9, 90.0), None) == counters(9, 90.0), "a new statement"
    assert grown(counters(3, 90.0), counters(4, 40.0)) is None
    assert added(counters(1, 2.0), counters(3, 4.0, 1.0)) == counters(4, 6.0, 1.0)
    assert Counters().mean_ms is None
    assert Counters().hit_share is None


def test_the_window_reaches_half_a_minute_back_and_no_further() -> None:
    window = Window()
    bases = [window.compare(sample(seconds)) for seconds in range(0, 100, 5)]
    assert bases[0] is None
    ages = [(5 * number, base) for number, base in enumerate(bases) if base is not None]
    assert [round((NOW - base.at).total_seconds() + at) for at, base in ages[:7]] == [5, 10, 15, 20, 25, 30, 30]
    assert all((NOW - base.at).total_seconds() + at <= WINDOW_S + 5 for at, base in ages)


def test_the_window_begins_anew_after_a_reset_or_when_time_goes_back() -> None:
    window = Window()
    window.compare(sample(0))
    assert window.compare(sample(5)) is not None
    assert window.compare(sample(10, since=NOW + timedelta(seconds=8))) is None
    window.compare(sample(15, since=NOW))
    assert window.compare(sample(3)) is None


def test_looks_that_are_too_close_are_not_compared_with_each_other() -> None:
    window = Window()
    window.compare(sample(0))
    assert window.compare(sample(1)) is None
    base = window.compare(sample(3))
    assert base is not None
    assert base.at == NOW


def test_a_key_is_what_the_front_end_hands_back() -> None:
    assert name_of((10, -5, True)) == "10/-5/top"
    assert name_of((10, None, False)) == "10//nested"
