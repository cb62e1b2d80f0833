"""A small program on the real terminal layer: run by the tests in a pty, it reports to a JSON file when it ends."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import DataTable, Input, Label, Log, OptionList, RichLog, Static

from fakes.stopwatch import Stopwatch
from qsuite_console import terminal

PASSWORD = "hunter2-planted"
CORPUS = (
    "\x1b]2;PWNED\x1b\\",
    "\x1b]52;c;UFdORUQ=\x07",
    "\x1b[2JPWNED",
    "\x9b5mPWNED",
    "\x90PWNED\x9c",
    "\x1b_PWNED\x1b\\",
    "\x1bP1;1|PWNED\x1b\\",
    "ab\x00\x08cd",
    "left\u202eright",
    "\x1b]8;;http://PWNED\x07click",
)


class Beat:
    """The longest time between two turns of something that must keep turning, whatever the machine does."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self.last = watch.seconds
        self.worst = 0.0

    def turn(self) -> None:
        now = self.watch.seconds
        self.worst = max(self.worst, now - self.last)
        self.last = now


class Target(terminal.TerminalGuard[None]):
    """Draws what its scenario asks for."""

    def __init__(self, scenario: str, beat: Beat) -> None:
        super().__init__()
        self.scenario = scenario
        self.beat = beat
        self.frames = 0

    def compose(self) -> ComposeResult:
        yield Static("READY", id="body")
        if self.scenario == "escapes":
            text = " ".join(CORPUS)
            yield Label(Content(text))
            yield Input(value=text)
            yield OptionList(Content(text))
            yield Log(id="log")
            yield RichLog(id="rich")
            yield DataTable(id="table")

    def on_mount(self) -> None:
        self.set_interval(0.05, self.beat.turn)
        match self.scenario:
            case "heavy":
                self.set_interval(0.05, self.fill)
            case "crash":
                self.set_timer(0.2, self.crash)
            case "escapes":
                self.call_after_refresh(self.show_corpus)

    def fill(self) -> None:
        self.frames += 1
        width, height = self.size
        noise = "\n".join(
            "".join(random.choice("abcdefghijklmnop") for _ in range(width)) for _ in range(max(1, height - 2))
        )
        self.query_one("#body", Static).update(Content(f"FRAME {self.frames}\n{noise}"))

    def crash(self) -> None:
        dsn = f"postgresql://admin:{PASSWORD}@db/prod"
        raise RuntimeError(f"can't connect to {dsn}")

    def show_corpus(self) -> None:
        text = " ".join(CORPUS)
        self.query_one("#body", Static).update(Content(text))
        self.query_one("#log", Log).write_line(text)
        self.query_one("#rich", RichLog).write(text)
        table = self.query_one("#table", DataTable)
        table.add_column("x", width=70)
        table.add_row(Content(text))
        self.screen.title = text
        self.notify(text, title=text, markup=False)
        self.copy_text(text)
        self.set_timer(0.5, lambda: self.query_one("#body", Static).update("DONE"))


def main() -> None:
    """Run one scenario; the report says whether the stop callback ran and the worst gaps."""
    report, scenario, grace = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    if scenario == "deaf":  # a hang-up whose signal never arrives
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    watch = Stopwatch().__enter__()
    stop, engine_beat, loop_beat = threading.Event(), Beat(watch), Beat(watch)

    def engine() -> None:
        while not stop.wait(0.02):
            engine_beat.turn()

    thread = threading.Thread(target=engine)
    thread.start()
    target = Target(scenario, loop_beat)
    code = terminal.run(target, on_stop=stop.set, grace_s=grace)
    if scenario == "stubborn":  # an engine that takes its time to drain
        sys.__stderr__.write("WAITING")
        sys.__stderr__.flush()
        time.sleep(60)
    was_asked = stop.is_set()
    stop.set()
    thread.join()
    told = {"asked": was_asked, "engine": engine_beat.worst, "loop": loop_beat.worst, "frames": target.frames}
    report.write_text(json.dumps(told))
    sys.exit(code)


if __name__ == "__main__":
    main()
