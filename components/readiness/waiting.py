"""Waits until a distribution point is ready, and says what it waits for.

The rhythm is the 2017 wizard's: a look every ten seconds, half an hour at most. Nothing here runs
in a preview.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pulumi

from ..dns.lookups import Resolver
from ..proxy import Proxy
from .stages import (
    Seen,
    Stage,
    Subject,
    stages,
)
from .status_log import READY_ID, Severity, StatusLog

READY = "Ready"
STOPPED = "Stopped"
NOT_CHECKED = "Not checked"
STOPPED_BY_QUOTA = "Stopped by the transfer quota"
NOTHING_SERVED = (
    "{}: no content is served, since the transfer quota is used up to criticalPercent, and "
    "stopAtCritical is true. It is served again when less was sent in the period, or once you "
    "raise transferQuotaGB or criticalPercent."
)
# A cache is believed for so long at most: there may be several behind one address.
LONGEST_PAUSE_FOR_A_CACHE = 60
# Where lines stay on the screen, a wait is reported after so many seconds, and then ever so often.
FIRST_REPORTS = (0, 60, 120, 300)
LATER_REPORTS = 300
# A raised quota reaches every instance within so many seconds: a service that is stopped for longer
# is stopped on purpose. An agent's pass comes every minute or so, and another may be under way.
STOPPED_ON_PURPOSE = 150

T = TypeVar("T")


@dataclass(frozen=True)
class Rhythm:
    """How long to wait, and how often to look; both in seconds."""

    timeout: float
    interval: float


@dataclass(frozen=True)
class Report:
    """What the wait ended with.

    Attributes:
        status: `Ready`, `Stopped`, `Stopped by the transfer quota`, `Not checked`, or what is
            still waited for.
        problem: a sentence where it did not become ready in time, else empty.
    """

    status: str
    problem: str = ""


@dataclass(frozen=True)
class Step:
    """Something to report: a stage that passed, or one that is waited for."""

    stage: Stage
    seen: Seen
    elapsed: float
    """Seconds since the wait began."""


Tell = Callable[[Step], None]


class NotReady(Exception):
    """A stage did not come true in time."""

    def __init__(self, stage: Stage, seen: Seen, rhythm: Rhythm) -> None:
        super().__init__(
            f"waited {duration(rhythm.timeout)} in vain to see whether {stage.title}. "
            f"Expected: {seen.expected}. Seen: {seen.seen}."
        )
        self.stage = stage
        self.seen = seen


def wait(
    stages: Iterable[Stage],
    rhythm: Rhythm,
    tell: Tell,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Waits for one stage after the other.

    Args:
        stages: what has to come true, in this order.
        rhythm: how long and how often.
        tell: takes what there is to report, at each look and at each interval between two.
        clock: seconds that only grow.
        sleep: waits for so many seconds.

    Returns:
        `Ready`, or `Stopped by the transfer quota` where all is right but for that.

    Raises:
        NotReady: the time is over.
    """
    began, status = clock(), READY
    for stage in stages:
        stop_is_meant = min(clock() + STOPPED_ON_PURPOSE, began + rhythm.timeout)
        while True:
            seen = stage.look()
            tell(Step(stage, seen, clock() - began))
            if seen.ok:
                break
            again = clock() + max(rhythm.interval, min(seen.keeps, LONGEST_PAUSE_FOR_A_CACHE))
            if seen.stopped:
                if clock() >= stop_is_meant:
                    status = STOPPED_BY_QUOTA
                    break
                again = min(again, stop_is_meant)
            while clock() < again:
                left = began + rhythm.timeout - clock()
                if left <= 0:
                    raise NotReady(stage, seen, rhythm)
                sleep(min(rhythm.interval, left))
                tell(Step(stage, seen, clock() - began))
    return status


def duration(seconds: float) -> str:
    """A duration in words: `45 s`, `2 min`, `2 min 10 s`."""
    minutes, rest = divmod(round(seconds), 60)
    parts = [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest or not minutes)
    return " ".join(parts)


def wait_for(
    subject: pulumi.Input[Subject],
    *,
    instances: int,
    rhythm: Rhythm,
    resolver: Resolver,
    proxy: Proxy,
    status_log: Path | None,
    resource: pulumi.Resource,
) -> pulumi.Output[Report]:
    """The same inside a program, in a thread of its own, once the subject is known.

    In a preview nothing is looked at, and what a wait would bring is unknown.

    Args:
        subject: what to look at; an Output of all that has to be there first.
        instances: number of instances; with none there is nothing to wait for.
        rhythm: how long and how often; a timeout of 0 does not wait.
        resolver: whom to ask for names.
        proxy: how to get out to the service.
        status_log: file that the stages are logged to.
        resource: the resource that messages belong to.
    """
    if not instances or not rhythm.timeout:
        status = NOT_CHECKED if instances else STOPPED
        return pulumi.Output.from_input(subject).apply(lambda _: Report(status))
    if pulumi.runtime.is_dry_run():
        return _unknown(resource)

    async def ready(subject: Subject) -> Report:
        loop = asyncio.get_running_loop()

        def show(message: str, *, passing: bool) -> None:
            # The engine's log may be used from the program's own thread only.
            with contextlib.suppress(RuntimeError):  # the program has ended
                loop.call_soon_threadsafe(_log, message, resource, passing)

        progress = Progress(subject.service, rhythm, show, one_line=on_a_terminal())
        log = Journal(StatusLog(status_log, subject.service), rhythm, show) if status_log else None

        def tell(step: Step) -> None:
            progress(step)
            if log:
                log(step)

        def work() -> Report:
            try:
                status = wait(stages(subject, resolver=resolver, proxy=proxy), rhythm, tell)
            except NotReady as late:
                if log:
                    log.late(late)
                return Report(
                    f"Waiting to see whether {late.stage.title}", f"{subject.service}: {late}"
                )
            except Exception as fault:
                # One that was not foreseen: others are not to be left half made because of it.
                what = f"{type(fault).__name__}: {fault}"
                return Report(
                    NOT_CHECKED,
                    f"{subject.service}: whether it is ready could not be checked ({what}).",
                )
            if log and status == READY:
                log.ready()
            return Report(status)

        report = await _in_thread(work)
        if report.status == STOPPED_BY_QUOTA:
            pulumi.warn(NOTHING_SERVED.format(subject.service), resource)
        return report

    return pulumi.Output.from_input(subject).apply(ready)


def insist(reports: Sequence[pulumi.Output[Report]]) -> None:
    """Lets `up` fail where a distribution point did not become ready in time.

    It waits for all of them, so that none is left half made because of another.
    """

    def judge(ended: list[Report]) -> None:
        problems = [report.problem for report in ended if report.problem]
        if problems:
            raise pulumi.RunError(
                "\n".join(problems) + "\nPut it right and run `pulumi up` again, which goes on "
                "waiting; `python -m components.readiness check` shows each stage. What the stack "
                "itself made and somebody changed since shows after `pulumi refresh`."
            )

    pulumi.Output.all(*reports).apply(judge)


class Progress:
    """Shows what is waited for: on a terminal one line that changes, else a line now and then."""

    def __init__(
        self, service: str, rhythm: Rhythm, show: Callable[..., None], *, one_line: bool
    ) -> None:
        """Takes how to show a message, which is `passing` when the next may take its place."""
        self._service = service
        self._rhythm = rhythm
        self._show = show
        self._one_line = one_line
        self._stage = ""
        self._reported = 0

    def __call__(self, step: Step) -> None:
        """Shows a step, if it is time to."""
        if step.seen.ok:
            self._show(f"{self._service}: OK, {step.stage.title} ({step.seen.seen})", passing=False)
            return
        if not self._one_line and not self._is_time(step):
            return
        self._show(
            f"{self._service}: waiting to see whether {step.stage.title}, for "
            f"{duration(step.elapsed)} of {duration(self._rhythm.timeout)}; seen: "
            f"{step.seen.seen}",
            passing=self._one_line,
        )

    def _is_time(self, step: Step) -> bool:
        if step.stage.name != self._stage:
            self._stage = step.stage.name
            self._began = step.elapsed
            self._reported = 0
        due = (
            FIRST_REPORTS[self._reported]
            if self._reported < len(FIRST_REPORTS)
            else FIRST_REPORTS[-1] + LATER_REPORTS * (self._reported - len(FIRST_REPORTS) + 1)
        )
        if step.elapsed - self._began < due:
            return False
        self._reported += 1
        return True


class Journal:
    """Writes what happens to the status log; a file that cannot be written stops nothing."""

    def __init__(self, log: StatusLog, rhythm: Rhythm, show: Callable[..., None]) -> None:
        """Takes the file and how to say that it cannot be written."""
        self._log = log
        self._rhythm = rhythm
        self._show = show
        self._broken = False

    def __call__(self, step: Step) -> None:
        """Writes a step."""
        if step.seen.ok:
            self._write(step.stage.name, f"Checked that {step.stage.title}: {step.seen.seen}.")
        else:
            self._write(
                step.stage.name,
                f"Waiting for check if {step.stage.title}. Seen: {step.seen.seen}. Will check "
                f"again in {round(self._rhythm.interval)} seconds",
                Severity.WARNING,
            )

    def late(self, late: NotReady) -> None:
        """Writes that the time is over."""
        self._write(late.stage.name, f"Not ready: {late}", Severity.ERROR)

    def ready(self) -> None:
        """Writes that all is well."""
        self._write("ready", f"STATMSG: ID={READY_ID} The cloud distribution point is ready.")

    def _write(self, stage: str, message: str, severity: Severity = Severity.INFORMATION) -> None:
        try:
            self._log.write(stage, message, severity)
        except OSError as error:
            if not self._broken:
                self._show(f"The status log cannot be written: {error}.", passing=False)
            self._broken = True


def on_a_terminal() -> bool:
    """Whether somebody watches a screen on which a line can change.

    The program's own output is never a terminal, since the engine reads it.
    """
    if os.environ.get("CI"):
        return False
    if os.name != "posix":
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _log(message: str, resource: pulumi.Resource, passing: bool) -> None:
    pulumi.log.info(message, resource, ephemeral=passing)


async def _in_thread(work: Callable[[], T]) -> T:
    """Runs work in a thread that does not keep the program from ending when another part fails."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)  # ty: ignore[invalid-argument-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the program has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return await future


def _unknown(resource: pulumi.Resource) -> pulumi.Output[Report]:
    """An Output whose value only an update will know."""

    async def value(known: T) -> T:
        return known

    return pulumi.Output({resource}, value(Report("")), value(False))
