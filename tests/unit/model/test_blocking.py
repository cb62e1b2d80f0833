"""The tree of who waits for whom, over edges as a server gives them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from qsuite_console.model.activity import Blocking, Edge, Lock, Prepared, Session, Wait
from qsuite_console.model.blocking import Graph, Member, Node, roots, tree

NOW = datetime(2026, 11, 20, 14, 32, 7, tzinfo=UTC)


def blocking(edges: Sequence[tuple[int, int]], *, ages: dict[int, float] | None = None, gid: str = "") -> Blocking:
    """``edges`` are waiter and holder; all but pid 0 have a session, all waiters a wait as old as ``ages`` say."""
    ages = ages or {}
    pids = {pid for edge in edges for pid in edge} - {0}
    return Blocking(
        at=NOW,
        edges=tuple(Edge(waiter=w, holder=h, gid=gid if h == 0 else "") for w, h in edges),
        waits=tuple(
            Wait(
                pid=pid,
                lock=Lock(kind="tuple", mode="x", subject="y", is_granted=False, waited_s=ages.get(pid)),
            )
            for pid in sorted({w for w, _ in edges})
        ),
        sessions=tuple(Session(pid=pid, transaction_s=ages.get(pid)) for pid in sorted(pids)),
        prepared=(Prepared(gid=gid, age_s=60.0),) if gid else (),
    )


def drawn(nodes: Sequence[Node]) -> list[str]:
    return [f"{'  ' * node.depth}{node.member.gid or node.member.pid}" for node in nodes]


def test_nobody_waits() -> None:
    assert tree(blocking([])) == ()
    assert roots(blocking([])) == ()


def test_the_root_is_named_and_nobody_else() -> None:
    found = blocking([(2, 1), (3, 2), (4, 1)])
    assert roots(found) == (Member(1),)
    nodes = tree(found)
    assert drawn(nodes) == ["1", "  2", "    3", "  4"]
    assert [node.is_root for node in nodes] == [True, False, False, False]
    assert [node.lasts for node in nodes] == [(), (False,), (False, True), (True,)]
    assert [(node.behind, node.frees) for node in nodes] == [(3, 3), (1, 1), (0, 0), (0, 0)]


def test_who_has_waited_longest_stands_first() -> None:
    assert drawn(tree(blocking([(2, 1), (3, 1), (4, 1)], ages={2: 1, 3: 30, 4: 5}))) == ["1", "  3", "  4", "  2"]


def test_who_waits_in_a_queue_stands_under_the_nearest_and_once() -> None:
    """A table lock: each waits for the holder and for those before it in the queue."""
    nodes = tree(blocking([(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3)]))
    assert drawn(nodes) == ["1", "  2", "  3", "  4"]
    assert nodes[3].also == (Member(2), Member(3))
    assert nodes[0].frees == 3


def test_two_roots_and_what_each_frees_alone() -> None:
    nodes = tree(blocking([(3, 1), (3, 2), (4, 2)], ages={1: 10, 2: 20}))
    assert drawn(nodes) == ["2", "  3", "  4", "1", "  3"]
    assert [node.is_repeat for node in nodes] == [False, False, False, False, True]
    by_pid = {node.member.pid: node for node in nodes if not node.is_repeat}
    assert (by_pid[2].behind, by_pid[2].frees) == (2, 1)
    assert (by_pid[1].behind, by_pid[1].frees) == (1, 0)
    assert by_pid[3].also == (Member(1),)


def test_ending_one_in_the_middle_frees_those_behind_it_alone() -> None:
    graph = Graph(blocking([(2, 1), (3, 2), (4, 2), (4, 1), (5, 4)]).edges)
    assert graph.behind(Member(2)) == {Member(3), Member(4), Member(5)}
    assert graph.frees(Member(2)) == {Member(3)}


def test_a_deadlock_has_no_root() -> None:
    nodes = tree(blocking([(1, 2), (2, 1), (3, 2)], ages={1: 5, 2: 9}))
    assert roots(blocking([(1, 2), (2, 1), (3, 2)])) == ()
    assert drawn(nodes) == ["2", "  1", "  3"]
    assert [node.is_cycle for node in nodes] == [True, True, False]
    assert not any(node.is_root for node in nodes)


def test_a_cycle_that_also_waits_for_a_root_stands_under_it() -> None:
    nodes = tree(blocking([(2, 1), (2, 3), (3, 2)]))
    assert drawn(nodes) == ["1", "  2", "    3"]
    assert [node.is_root for node in nodes] == [True, False, False]
    assert nodes[0].frees == 0  # the server has to end one of the two


def test_waiting_for_oneself_is_no_wait() -> None:
    assert drawn(tree(blocking([(2, 1), (2, 2)]))) == ["1", "  2"]


def test_a_prepared_transaction_is_a_root_with_a_name() -> None:
    nodes = tree(blocking([(2, 0), (3, 2)], gid="order 66"))
    assert drawn(nodes) == ["order 66", "  2", "    3"]
    assert nodes[0].member.is_prepared
    assert nodes[0].prepared is not None
    assert nodes[0].session is None
    unnamed = tree(blocking([(2, 0)]))
    assert unnamed[0].member == Member(0)
    assert unnamed[0].is_root


def test_a_session_that_is_not_to_be_seen_keeps_its_place() -> None:
    nodes = tree(Blocking(at=NOW, edges=(Edge(waiter=2, holder=1),)))
    assert drawn(nodes) == ["1", "  2"]
    assert nodes[0].session is None


@pytest.mark.parametrize("shape", ["queue", "chain"])
def test_hundreds_of_waiters_are_placed_without_delay(shape: str) -> None:
    chain = [(n + 1, n) for n in range(1, 200)]
    queue = [(n, holder) for n in range(2, 201) for holder in range(max(1, n - 50), n)]
    started = time.process_time()
    nodes = tree(blocking(chain if shape == "chain" else queue))
    assert time.process_time() - started < 3.0
    assert len({node.member for node in nodes}) == 200
    assert nodes[0].behind == 199
    if shape == "chain":
        assert nodes[-1].depth == 199
