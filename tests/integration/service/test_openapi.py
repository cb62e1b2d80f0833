"""The OpenAPI document, and a real engine on real servers that is asked everything it describes, well and badly.

``QSUITE_CONSOLE_FUZZ=200`` asks each operation that often; the suite asks each a few times.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import strategies
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from qsuite_console.config.api import ApiSettings, ApiToken
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, Settings, TargetSettings
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import Interface
from qsuite_console.headless.openapi import document, markdown
from qsuite_console.headless.routes import ROUTES
from qsuite_console.model.access import Scope
from qsuite_console.paths import resolve
from qsuite_console.runtime import open_runtime
from qsuite_console.workers import PROBES

_log = logging.getLogger(__name__)
TOKEN = "fuzz-" + "x" * 40
TIMES = int(os.environ.get("QSUITE_CONSOLE_FUZZ", "2"))
STREAMING = {route.name for route in ROUTES if route.is_streaming}
# Each is answered by a real engine; names that nobody could guess are put where the document says only "string".
NAMES = {
    "probe": sorted(PROBES),
    "operation": ["alerts.acknowledge", "schedules.add", "cache.delete-key", "database.cancel", "bars.store"],
}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def base(database_dsn: str, valkey_url: str, tmp_path: Path) -> Iterator[str]:
    """Serve a whole engine on TCP; give its address."""
    paths = resolve(str(tmp_path)).ensure()
    settings = Settings(
        target=TargetSettings(name="fuzz"),
        database=DatabaseSettings(dsn=Secret(database_dsn)),
        cache=CacheSettings(url=Secret(valkey_url)),
        api=ApiSettings(listen="127.0.0.1:0", requests_per_minute=1_000_000),
        tokens={"fuzz": ApiToken(name="fuzz", reference="env:FUZZ", scope=Scope.ADMIN, value=Secret(TOKEN))},
    )
    interface = Interface.of(settings, paths.socket, origin="test")
    with open_runtime(
        settings,
        paths,
        claim=Claiming.ALL,
        origin="test",
        extra_services=[interface.serve],
        requests=interface.costs.view,
    ):
        assert interface.address is not None
        address = f"http://127.0.0.1:{interface.address[1]}"
        wait_for_the_first_look(address)
        yield address


def wait_for_the_first_look(base: str) -> None:
    """Return once the platform is scored: before, the engine rightly answers that it can't tell yet."""
    until = time.monotonic() + 150
    while time.monotonic() < until:
        answer = requests.post(f"{base}/ask/scores.explain", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        if answer.status_code == 200:
            return
        assert answer.status_code in (503, 504), answer.text
        time.sleep(0.2)
    raise AssertionError("the platform was not scored in time")


def good_and_bad(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> SearchStrategy[Any]:
    """Return requests as the document wants them, and where there is anything to be wrong, as it does not."""
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.body or operation.path_parameters or operation.query):
        return good
    return strategies.one_of(good, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def ask(base: str, path: str) -> Any:
    answer = requests.get(base + path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content)


def test_the_document_says_every_row() -> None:
    described = document(ROUTES)
    rows = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert rows == {(route.method, route.path) for route in ROUTES}
    identifiers = [each["operationId"] for methods in described["paths"].values() for each in methods.values()]
    assert len(identifiers) == len(set(identifiers))
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert operation["x-scope"] == route.scope
        assert ("security" in operation) == route.is_open
        named = {each["name"] for each in operation.get("parameters", ())}
        assert {query.name for query in route.queries} <= named
        assert route.takes is None or "requestBody" in operation


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "routes.md"
    assert page.read_text(encoding="utf-8") == markdown(ROUTES), "run: make docs"


@pytest.mark.timeout(300 + 20 * TIMES)
def test_everything_it_describes_is_answered_without_a_server_error(base: str) -> None:
    described = ask(base, "/openapi.json")
    failed_before = sum(row["failed"] for row in ask(base, "/requests")["routes"])  # nothing was scored yet
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=base)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    session = requests.Session()
    asked: list[str] = []
    failures: list[str] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        label = f"{operation.method.upper()} {operation.path}"
        if label in STREAMING:
            continue

        @hypothesis.seed(7)
        @hypothesis.settings(
            max_examples=TIMES,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=good_and_bad(operation), data=strategies.data())
        def judge(case: Any, data: strategies.DataObject) -> None:
            for name, known in NAMES.items():
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = data.draw(strategies.sampled_from(known))
            try:
                case.call_and_validate(session=session, headers=headers, checks=CHECKS, timeout=60)
            except FailureGroup as group:  # all of them are wanted, not the smallest of the first
                asked_for = f"{case.method} {case.path} {case.query} {case.body!r}"[:500]
                failures.extend(f"{asked_for}: {failure}"[:1000] for failure in group.exceptions)

        judge()
        asked.append(label)
    assert not failures, "\n".join(failures)
    assert len(asked) == len(ROUTES) - len(STREAMING)
    view = ask(base, "/requests")
    answered, refused, failed = (sum(row[what] for row in view["routes"]) for what in ("answered", "refused", "failed"))
    _log.info("%d routes: %d answers, %d of them refusals, %d failures", len(asked), answered, refused, failed)
    assert failed == failed_before


@pytest.mark.timeout(300)
def test_every_question_and_operation_refuses_nonsense_politely(base: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    operations = [info["name"] for info in ask(base, "/operations")]
    targets = [f"/ask/{name}" for name in PROBES]
    targets += [f"/operations/{name}{tail}" for name in operations for tail in ("", "/proposal")]
    targets += ["/check", "/plan"]
    bad = [b"[]", b'{"parameters": {"\\u0000": "\\ud800"}}', b'{"parameters": {"x": null}}']
    found = {}
    for target in targets:
        for body in bad:
            answer = session.post(base + target, data=body, headers={"Content-Type": "application/json"}, timeout=60)
            if answer.status_code >= 500:
                found[f"{target} {body!r}"] = (answer.status_code, answer.text[:200])
    assert not found
    asked = session.post(base + "/ask/database.tables", data=b"{}", timeout=60)
    assert asked.status_code == 200, asked.text
    questions = next(row for row in ask(base, "/requests")["routes"] if row["route"] == "POST /ask/{probe}")
    assert questions["queries"] > 0
