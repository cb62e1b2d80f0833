"""The HTTP interface of a real engine process over TCP: asked with a token, which nobody ever gets to see."""

from __future__ import annotations

import http.client
import json
from typing import Any

from integration.cli.conftest import Console
from qsuite_console.sandbox.servers import free_port

TOKEN = "canary-" + "x" * 40
CONFIG = """
[api]
listen = "127.0.0.1:{port}"
[tokens.robot]
token = "env:ROBOT_TOKEN"
scope = "operate"
"""


def ask(port: int, method: str, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_program_uses_an_engine_and_its_token_is_nowhere(console: Console) -> None:
    port = free_port()
    file = console.home / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(CONFIG.format(port=port))
    file.chmod(0o600)
    console.environ["ROBOT_TOKEN"] = TOKEN
    engine = console.start("--headless")
    console.wait_for_engine()
    assert ask(port, "GET", "/health/live")[0] == 200
    assert ask(port, "GET", "/jobs")[0] == 401
    status, receipt = ask(port, "POST", "/jobs", TOKEN, {"kind": "test.count", "parameters": {"steps": 1}})
    assert status == 201, receipt
    console.wait_for_job("succeeded", receipt["job_id"])
    assert [job.origin for job in console.peek()] == ["http:robot"]
    told = console.run("doctor").stdout
    assert f"127.0.0.1:{port} for robot (operate)" in told

    second = console.run(
        "--headless", QSUITE_CONSOLE_HOME=str(console.home.parent / "second"), QSUITE_CONSOLE_API_LISTEN="0.0.0.0:1"
    )
    assert second.returncode == 2
    assert "env QSUITE_CONSOLE_API_LISTEN: api.listen: other machines reach 0.0.0.0" in second.stderr

    engine.terminate()
    out, err = engine.communicate(timeout=60)
    assert engine.returncode == 0, err
    kept = b"".join(path.read_bytes() for path in console.home.rglob("*") if path.is_file())
    assert b"canary" not in kept
    assert "canary" not in told + out + err
