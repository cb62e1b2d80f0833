"""Where the state of each target lives: the main one's place is its own for good, nobody shares another's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qsuite_console.paths import Paths, resolve


@pytest.fixture
def base(tmp_path: Path) -> Paths:
    return resolve(str(tmp_path)).ensure()


def state(base: Paths, name: str, *, is_named: bool = True, is_main: bool = False) -> Path:
    return base.of_target(name, is_named=is_named, is_main=is_main).state


def test_without_targets_everything_stays_where_it_was(base: Paths) -> None:
    assert base.of_target("default", is_named=False, is_main=False) == base
    assert list(base.state.iterdir()) == []


def test_the_main_target_claims_the_place_for_good(base: Paths) -> None:
    assert state(base, "a", is_main=True) == base.state
    assert state(base, "b") == base.state / "targets" / "b"
    assert state(base, "b", is_main=True) == base.state / "targets" / "b"
    assert state(base, "a") == base.state
    nameless = state(base, "default", is_named=False)
    assert nameless not in (base.state, state(base, "default"))


def test_a_target_that_is_not_the_main_one_claims_nothing(base: Paths) -> None:
    assert state(base, "b") == base.state / "targets" / "b"
    assert state(base, "default", is_named=False) == base.state
    assert state(base, "a", is_main=True) == base.state


@pytest.mark.parametrize(
    "names",
    [
        ("eu/prod", "eu%2Fprod"),
        ("..", "."),
        ("a" * 300, "a" * 299 + "b"),
        ("prod", "Prod "),
        ("…", "%"),
    ],
)
def test_whatever_a_target_is_called_its_directory_is_its_own(base: Paths, names: tuple[str, str]) -> None:
    first, second = (base.of_target(name, is_named=True, is_main=False).ensure().state for name in names)
    assert first != second
    assert first.parent == second.parent == base.state / "targets"
    assert {first.is_dir(), second.is_dir()} == {True}


def test_of_many_that_claim_at_once_one_wins(base: Paths) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: state(base, f"t{n % 4}", is_main=True), range(32)))
    owner = (base.state / "target").read_text().strip()
    assert {path for n, path in enumerate(found) if f"t{n % 4}" == owner} == {base.state}
    assert all(path != base.state for n, path in enumerate(found) if f"t{n % 4}" != owner)


def test_sockets_of_targets_are_apart_and_short_enough(tmp_path: Path) -> None:
    base = resolve(str(tmp_path / ("deep" * 20)))
    sockets = {base.of_target(name, is_named=True, is_main=False).socket for name in ("a", "b")} | {base.socket}
    assert len(sockets) == 3
    assert all(len(str(path)) <= 100 for path in sockets)
