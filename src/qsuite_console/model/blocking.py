"""Who waits for whom as a tree: pure, over the edges one look has found.

A root holds what others wait for and waits for nobody: it is what to act on. Each waiter stands once, under the nearest
root it waits for; sessions that wait for each other have no root, the server itself ends one of them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from qsuite_console.model.activity import PREPARED, Blocking, Edge, Prepared, Session, Wait

REPEATS_MOST: Final = 3


class Member(msgspec.Struct, frozen=True, order=True):
    """A session by its pid, or a prepared transaction by its name."""

    pid: int
    gid: str = ""

    @property
    def is_prepared(self) -> bool:
        """Tell whether it is a prepared transaction: it has no process to signal."""
        return self.pid == PREPARED


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the tree. ``lasts``: for it and each ancestor below the top, whether it is the last below its own."""

    member: Member
    parent: Member | None = None
    lasts: tuple[bool, ...] = ()
    is_root: bool = False
    is_cycle: bool = False  # waits for itself over others
    is_repeat: bool = False  # stands elsewhere too, with those behind it
    also: tuple[Member, ...] = ()  # whom it waits for beside ``parent``
    behind: int = 0  # sessions that wait for it, directly or not; counted where some stand below it
    frees: int = 0  # of those, who would wait for nobody any more without it
    session: Session | None = None  # None: a prepared transaction, or it ended during the look
    prepared: Prepared | None = None
    wait: Wait | None = None

    @property
    def depth(self) -> int:
        """Return 0 for a root, 1 for who waits for it."""
        return len(self.lasts)


class Graph:
    """The edges in both directions."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.holders: dict[Member, list[Member]] = defaultdict(list)
        self.waiters: dict[Member, list[Member]] = defaultdict(list)
        for waiter, holder in sorted({(Member(e.waiter), Member(e.holder, e.gid)) for e in edges}):
            if waiter != holder:
                self.holders[waiter].append(holder)
                self.waiters[holder].append(waiter)
        self.members = sorted({*self.holders, *self.waiters})
        self.roots = [member for member in self.members if not self.holders.get(member)]
        self.cycles = [group for group in self._groups() if len(group) > 1]

    def behind(self, member: Member) -> set[Member]:
        """Return who waits for a member, directly or not, without itself."""
        return self.reached([member]) - {member}

    def frees(self, member: Member) -> set[Member]:
        """Return who would wait for nobody any more if a member were gone."""
        others = [root for root in self.roots if root != member]
        others += [one for group in self.cycles if member not in group for one in group]
        return self.behind(member) - self.reached(others, without=member)

    def reached(self, starts: Collection[Member], *, without: Member | None = None) -> set[Member]:
        """Return the members named and everybody who waits for one of them, directly or not."""
        found, ahead = set(starts), deque(starts)
        while ahead:
            for waiter in self.waiters.get(ahead.popleft(), ()):
                if waiter not in found and waiter != without:
                    found.add(waiter)
                    ahead.append(waiter)
        return found

    def _groups(self) -> list[set[Member]]:
        """Return the strongly connected groups (Kosaraju), without recursion: a queue may be hundreds deep."""
        order: list[Member] = []
        seen: set[Member] = set()
        for start in self.members:
            stack: list[tuple[Member, Iterator[Member]]] = []
            if start not in seen:
                seen.add(start)
                stack.append((start, iter(self.holders.get(start, ()))))
            while stack:
                member, ahead = stack[-1]
                following = next((one for one in ahead if one not in seen), None)
                if following is None:
                    order.append(member)
                    stack.pop()
                else:
                    seen.add(following)
                    stack.append((following, iter(self.holders.get(following, ()))))
        groups: list[set[Member]] = []
        left = set(self.members)
        for member in reversed(order):
            if member in left:
                group, ahead_of = {member}, [member]
                left.discard(member)
                while ahead_of:
                    for waiter in self.waiters.get(ahead_of.pop(), ()):
                        if waiter in left:
                            left.discard(waiter)
                            group.add(waiter)
                            ahead_of.append(waiter)
                groups.append(group)
        return groups


def roots(blocking: Blocking) -> tuple[Member, ...]:
    """Return who holds what others wait for and waits for nobody."""
    return tuple(Graph(blocking.edges).roots)


def tree(blocking: Blocking) -> tuple[Node, ...]:
    """Return the lines of the tree from top to bottom; the root that frees most comes first."""
    graph = Graph(blocking.edges)
    maker = _Maker(blocking, graph)
    tops = sorted(graph.roots, key=lambda one: (-len(graph.behind(one)), -maker.age_of(one), one))
    reached = graph.reached(tops)
    tops += [max(group, key=maker.waited_of) for group in graph.cycles if not group & reached]
    return tuple(maker.lines(tops))


class _Maker:
    """Places everybody under the nearest top and says what is to be said of them."""

    def __init__(self, blocking: Blocking, graph: Graph) -> None:
        self._graph = graph
        self._sessions: Mapping[int, Session] = {session.pid: session for session in blocking.sessions}
        self._prepared: Mapping[str, Prepared] = {one.gid: one for one in blocking.prepared}
        self._waits: Mapping[int, Wait] = {wait.pid: wait for wait in blocking.waits}
        self._in_cycle: Collection[Member] = {member for group in graph.cycles for member in group}

    def age_of(self, member: Member) -> float:
        """Return how old its transaction is, in seconds; 0 where that is not known."""
        prepared, session = self._prepared.get(member.gid), self._sessions.get(member.pid)
        age = prepared.age_s if prepared is not None else session.transaction_s if session is not None else None
        return age or 0.0

    def waited_of(self, member: Member) -> float:
        """Return for how long it waits, in seconds; 0 where that is not known."""
        wait = self._waits.get(member.pid)
        return (wait.lock.waited_s if wait is not None else None) or 0.0

    def lines(self, tops: Sequence[Member]) -> Iterator[Node]:
        """Yield the lines, each top followed by those behind it."""
        parents = self._parents(tops)
        children: dict[Member, list[Member]] = defaultdict(list)
        for member, parent in parents.items():
            if parent is not None:
                children[parent].append(member)
        for top in tops:
            stack: list[tuple[Member, Member | None, tuple[bool, ...], bool]] = [(top, None, (), False)]
            while stack:
                member, parent, lasts, is_repeat = stack.pop()
                own = [] if is_repeat else sorted(children[member], key=lambda one: (-self.waited_of(one), one))
                yield self._node(member, parent, lasts, is_repeat=is_repeat, is_counted=bool(own) or parent is None)
                if is_repeat:
                    continue
                again = [] if own else self._graph.waiters.get(member, ())[:REPEATS_MOST]
                again = again if parent is None and member not in self._in_cycle else []
                below = [(one, False) for one in own] + [(one, True) for one in again]
                for index in reversed(range(len(below))):
                    one, repeats = below[index]
                    stack.append((one, member, (*lasts, index == len(below) - 1), repeats))

    def _parents(self, tops: Sequence[Member]) -> dict[Member, Member | None]:
        """Return whom each stands under: breadth first from the tops, so that nobody stands deeper than need be."""
        parents: dict[Member, Member | None] = dict.fromkeys(tops)
        ahead = deque(tops)
        while ahead:
            holder = ahead.popleft()
            for waiter in self._graph.waiters.get(holder, ()):
                if waiter not in parents:
                    parents[waiter] = holder
                    ahead.append(waiter)
        return parents

    def _node(
        self, member: Member, parent: Member | None, lasts: tuple[bool, ...], *, is_repeat: bool, is_counted: bool
    ) -> Node:
        return Node(
            member=member,
            parent=parent,
            lasts=lasts,
            is_root=not self._graph.holders.get(member),
            is_cycle=member in self._in_cycle,
            is_repeat=is_repeat,
            also=tuple(one for one in self._graph.holders.get(member, ()) if one != parent),
            behind=len(self._graph.behind(member)) if is_counted else 0,
            frees=len(self._graph.frees(member)) if is_counted else 0,
            session=self._sessions.get(member.pid),
            prepared=self._prepared.get(member.gid) if member.is_prepared else None,
            wait=self._waits.get(member.pid),
        )
