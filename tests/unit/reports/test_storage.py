"""Reports as files: private, whole, found by name, gone when they expire."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fakes.reporting import NOW
from qsuite_console.model.errors import NotFound
from qsuite_console.model.reports import ReportInfo
from qsuite_console.paths import resolve
from qsuite_console.reports.storage import ABOUT, Storage, TooLarge, Unkept, file_name


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(resolve(str(tmp_path)))


def info(number: int = 1, *, days: float = 7, name: str = "market") -> ReportInfo:
    return ReportInfo(
        file=file_name(name, "pdf", target="sandbox", job_id=number),
        path="",
        name=name,
        format="pdf",
        title=f"Report {number}",
        target="sandbox",
        window="",
        created_at=NOW + timedelta(seconds=number),
        expires_at=NOW + timedelta(days=days),
        bytes=3,
        pages=1,
        job_id=number,
    )


def test_a_kept_report_is_private_and_listed_newest_first(storage: Storage) -> None:
    first, second = (storage.keep(info(number), [b"ab", b"c"], ["line"]) for number in (1, 2))
    assert Path(first.path).read_bytes() == b"abc"
    for path in storage.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(storage.directory.stat().st_mode) == 0o700
    assert [report.file for report in storage.reports()] == [second.file, first.file]
    assert storage.preview(first) == ("line",)
    assert storage.find("last").file == second.file
    assert storage.find(first.file[:9]).file == first.file


def test_the_same_job_gets_the_same_name_and_another_target_another(storage: Storage) -> None:
    one = file_name("market", "pdf", target="a", job_id=1)
    assert one == file_name("market", "pdf", target="a", job_id=1)
    assert one != file_name("market", "pdf", target="b", job_id=1)
    storage.keep(info(1), [b"old"], [])
    storage.keep(info(1), [b"new"], [])
    assert [Path(report.path).read_bytes() for report in storage.reports()] == [b"new"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/b.pdf", "", ".hidden.pdf", "x.exe", "market.pdf\0"]
)
def test_a_name_from_outside_reaches_no_other_file(storage: Storage, name: str) -> None:
    storage.keep(info(1), [b"abc"], [])
    with pytest.raises(NotFound):
        storage.find(name)
    with pytest.raises(NotFound):
        storage.remove(name)
    with pytest.raises(NotFound):
        storage.keep(msgspec.structs.replace(info(1), file=name), [b"abc"], [])


def test_what_breaks_while_it_is_written_leaves_nothing(storage: Storage) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        storage.keep(info(1), pieces(), [])
    assert list(storage.directory.iterdir()) == []
    assert storage.reports() == []


def test_a_disk_that_refuses_is_said_and_may_be_tried_again(storage: Storage) -> None:
    storage.directory.parent.mkdir(parents=True)
    storage.directory.write_text("a file where the directory should be")
    with pytest.raises(Unkept) as caught:
        storage.keep(info(1), [b"abc"], [])
    assert caught.value.is_transient
    assert str(storage.directory) in caught.value.message


def test_expired_reports_and_litter_go_and_nothing_else(storage: Storage) -> None:
    old, young = storage.keep(info(1, days=1), [b"abc"], []), storage.keep(info(2, days=3), [b"abc"], [])
    unfinished, fresh = storage.directory / ".market-9-x.pdf.abcd1234", storage.directory / ".market-8-x.pdf.abcd1234"
    for path in (unfinished, fresh):
        path.write_bytes(b"half")
    at = NOW + timedelta(days=2)
    os.utime(unfinished, (at.timestamp() - 90_000,) * 2)
    os.utime(fresh, (at.timestamp() - 60,) * 2)
    gone = {stored.path.name for stored in storage.remove_expired(at)}
    assert gone == {old.file, old.file + ABOUT, unfinished.name}
    assert [report.file for report in storage.reports()] == [young.file]
    assert fresh.exists()


def test_a_full_directory_refuses_after_what_expired_is_gone(storage: Storage) -> None:
    storage.keep(info(1, days=1), [b"x" * 5000], [])
    storage.make_room(NOW + timedelta(days=2), 4000)
    assert storage.reports() == []
    storage.keep(info(2, days=9), [b"x" * 5000], [])
    with pytest.raises(TooLarge) as caught:
        storage.make_room(NOW + timedelta(days=2), 4000)
    assert "reports remove" in caught.value.hint
    assert len(storage.reports()) == 1


def test_a_note_that_is_damaged_hides_its_report_only(storage: Storage) -> None:
    first, second = (storage.keep(info(number), [b"abc"], []) for number in (1, 2))
    (storage.directory / f"{first.file}{ABOUT}").write_text("{")
    assert [report.file for report in storage.reports()] == [second.file]


def test_removing_twice_is_no_failure(storage: Storage) -> None:
    kept = storage.keep(info(1), [b"abc"], [])
    assert storage.remove(kept.file) == 3
    assert storage.remove(kept.file) == 0
    assert list(storage.directory.iterdir()) == []
