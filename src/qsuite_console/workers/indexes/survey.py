"""What an index job is asked for, and what there is to do for it: looked up each time, so that a cut run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from qsuite_console.db.index_care import Home, IndexReader, is_leftover, tail_of, why_kept
from qsuite_console.db.index_catalogue import Existing, Shape
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

ALL: Final = "all"
Action = Literal["build", "rebuild", "drop", "repair"]


class IndexesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with which indexes."""

    action: Annotated[
        Action,
        msgspec.Meta(
            title="Action",
            description="build recommended ones, rebuild or drop one, repair what a failed build left",
        ),
    ] = "build"
    which: Annotated[
        str,
        msgspec.Meta(
            title="Index",
            description="name of an index; all: each recommended one that is missing (build), each broken one (repair)",
            examples=["execution_engine_order_book_idx"],
            max_length=200,
        ),
    ] = ALL
    table: Annotated[
        str, msgspec.Meta(title="Table", description="only indexes of this table; empty: of every one", max_length=200)
    ] = ""
    lock_timeout_s: Annotated[
        float,
        msgspec.Meta(
            title="Wait",
            description="seconds to wait for a lock or for one older transaction; then it is tried again later",
            ge=0.05,
            le=86_400,
        ),
    ] = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One index and what is done with it. ``existing`` is what is there already, ``home`` the table of a new one."""

    key: str
    table: str
    does: Literal["build", "rebuild", "drop"]
    name: str
    pages: int
    note: str = ""
    home: Home | None = None
    tail: str = ""
    shape: Shape | None = None
    existing: Existing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is to be done, what needs nothing, and what stands in the way."""

    tasks: tuple[Task, ...] = ()
    present: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Surveyor:
    """Looks up what is to be done for parameters."""

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader

    async def survey(self, parameters: IndexesParameters, done: Sequence[str] = ()) -> Survey:
        """Return what there is to do, without what is ``done``; raises InvalidParameters, DatabaseError."""
        problems = problems_of(parameters)
        if problems:
            raise InvalidParameters(dict(problems))
        home = await self._home(parameters.table.strip())
        if parameters.action == "build":
            return await self._to_build(parameters, home)
        found = await self._found(parameters, home, done)
        if parameters.action == "repair":
            return await self._to_repair(found)
        if parameters.action == "drop":
            for index in found:
                if why_kept(index):
                    raise InvalidParameters({"which": why_kept(index)})
            locks = "; locks the table and its partitions for a moment"
            notes = {index.oid: locks if index.kind == "I" else "" for index in found}
        else:
            notes = dict.fromkeys((index.oid for index in found), "")
        tasks = [await self._task(index, parameters.action, notes[index.oid]) for index in found]
        return Survey(tasks=tuple(tasks), warnings=tuple(_drop_warnings(found)) if parameters.action == "drop" else ())

    async def _to_build(self, parameters: IndexesParameters, home: Home | None) -> Survey:
        standings = await self._reader.standings()
        wanted = parameters.which.strip().rpartition(".")[2].strip('"')
        chosen = [one for one in standings if is_all(parameters) or one.name == wanted]
        if not chosen:
            known = ", ".join(one.name for one in standings)
            raise InvalidParameters({"which": f"{clean(wanted, 80)} is not one of the recommended: {known}"})
        tasks, present, warnings = [], [], []
        for one in chosen:
            if home is not None and (one.home is None or one.home.oid != home.oid):
                continue
            if one.state == "present":
                present.append(one.name)
            elif one.state == "no table" or one.home is None:
                if not is_all(parameters):
                    raise InvalidParameters({"which": f"{one.name}: there is no table for it"})
            elif one.state == "different" and one.index is not None:
                warnings.append(f"{one.name} is another index ({one.index.definition}); rename or drop it first")
            else:
                _may(one.home)
                own = one.index is None or one.index.name == one.name or one.home.kind == "p"
                if not own and one.index is not None:  # somebody else's unfinished one, which will do
                    tasks.append(await self._task(one.index, "rebuild", "; is there, but invalid"))
                    continue
                rows = f"about {units.count(one.home.rows)} rows"
                tasks.append(
                    Task(
                        key=f"{one.home.name} {one.name}", name=one.name, does="build", table=one.home.name,
                        home=one.home, tail=one.recommended.shape.sql, shape=one.recommended.shape,
                        pages=one.home.pages, note=f"table {units.size(one.home.bytes)}, {rows}",
                    )
                )  # fmt: skip
        return Survey(tasks=tuple(tasks), present=tuple(present), warnings=tuple(warnings))

    async def _to_repair(self, found: Sequence[Existing]) -> Survey:
        tasks, warnings = [], []
        for index in found:
            if index.is_sound:
                continue
            if index.is_building:
                warnings.append(f"{index.name} is being built by another session; it is left alone")
            elif is_leftover(index) and not why_kept(index):
                tasks.append(await self._task(index, "drop", "; what an interrupted rebuild or drop left"))
            elif index.kind == "I" and index.constraint:
                warnings.append(f"{why_kept(index)}; its partitions lack theirs")
            elif index.kind == "I":
                home = await self._reader.home(index.table)
                if home is not None and not index.is_attached:
                    tasks.append(
                        Task(key=_key(index), name=index.name, does="build", table=index.table, home=home,
                             tail=tail_of(index), shape=index.shape, pages=home.pages,
                             note="some partitions lack their part of it")
                    )  # fmt: skip
            else:
                tasks.append(await self._task(index, "rebuild", "; a build of it failed"))
        for broken in (task.existing for task in tasks):
            if broken is not None and not broken.may:
                raise InvalidParameters({"which": f"the role does not own {broken.table}; use its owner"})
        return Survey(tasks=tuple(tasks), warnings=tuple(warnings))

    async def _found(self, parameters: IndexesParameters, home: Home | None, done: Sequence[str]) -> list[Existing]:
        """Return the indexes meant; one that is gone is none where the run has dealt with it already."""
        if not is_all(parameters):
            found = list(await self._reader.indexes(name=parameters.which.strip()))
        elif parameters.action == "repair":
            found = list(await self._reader.indexes(faulty=True))
        else:
            found = list(await self._reader.indexes(tables=[] if home is None else [home.oid]))
        if home is not None:
            found = [index for index in found if index.table_oid == home.oid]
        name = clean(parameters.which.strip(), 80)
        if not found and not is_all(parameters) and not done:
            raise InvalidParameters({"which": f"there is no index {name!r}; the indexes pane lists those there are"})
        if len(found) > 1 and not is_all(parameters):
            raise InvalidParameters({"which": f"{name} is in several schemas; write schema.name"})
        for index in found:
            if not index.may and not is_all(parameters):
                raise InvalidParameters({"which": f"the role does not own {index.table}; use its owner"})
        return found

    async def _home(self, table: str) -> Home | None:
        if not table:
            return None
        home = await self._reader.home(table)
        if home is None:
            raise InvalidParameters({"table": f"there is no table {clean(table, 80)!r}"})
        _may(home)
        return home

    async def _task(self, index: Existing, does: Literal["rebuild", "drop"], note: str = "") -> Task:
        home = await self._reader.home(index.table)
        return Task(
            key=_key(index), name=index.name, does=does, table=index.table, existing=index,
            note=f"{units.size(await self._reader.size(index))}{note}", pages=0 if home is None else home.pages,
        )  # fmt: skip


def problems_of(parameters: IndexesParameters) -> Mapping[str, str]:
    """Return field name -> problem; pure."""
    if not parameters.which.strip():
        return {"which": "name an index, or all"}
    if is_all(parameters) and parameters.action == "drop":
        return {"which": "name the index to drop"}
    if is_all(parameters) and parameters.action == "rebuild" and not parameters.table.strip():
        return {"which": "name the index to rebuild, or a table for all of its indexes"}
    return {}


def is_all(parameters: IndexesParameters) -> bool:
    """Return whether no index is named."""
    return parameters.which.strip().lower() == ALL


def _key(index: Existing) -> str:
    return f"{index.table} {index.name}"


def _may(home: Home) -> None:
    if home.is_standby:
        raise InvalidParameters({"table": "a standby takes no index; point the console at the primary"})
    if not home.may:
        raise InvalidParameters({"table": f"the role {home.role} does not own {home.name}; use its owner"})


def _drop_warnings(found: Sequence[Existing]) -> list[str]:
    warnings = []
    for index in found:
        if index.is_unique:
            warnings.append(f"{index.name} is unique: nothing keeps duplicates out afterwards, ON CONFLICT may fail")
        if index.is_sound:
            warnings.append("a standby may read what nobody reads here; look there too")
    return warnings
