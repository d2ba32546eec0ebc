"""The line and its meters in a process of their own, so that their timing owes nothing to the client's."""

from dataclasses import dataclass, field
import gc
from multiprocessing.connection import Connection
import sys
import time
from types import TracebackType
from typing import Any, Self

from tests.support.meters import MeterServer
from tests.support.wire import Fault, RandomFaults, Wire, WireStatistics

from .processes import CONTEXT, keep_others_out
from .setting import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong on the line by chance."""

    seed: int
    chances: tuple[tuple[float, Fault], ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """One exchange as the line saw it."""

    time: float
    unit: int
    block: tuple[int, int, int]
    fault: str | None
    reply_time: float | None
    """When the reply was over; None if there was none."""


@dataclass(slots=True)
class LineReport:
    """What happened on the line."""

    statistics: WireStatistics
    exchanges: list[Heard] = field(default_factory=list)


def _serve(setting: Setting, trouble: Trouble, control: Connection) -> None:
    sys.setswitchinterval(0.0005)
    keep_others_out(punctual=True)
    if setting.transport == "tcp":
        with MeterServer(setting.meters()) as server:
            gc.freeze()
            control.send(server.serve_tcp())
            while control.poll(None):
                method, _ = control.recv()
                if method == "end":
                    control.send(None)
                    return
        return
    with Wire(
        setting.meters(),
        timing=setting.timing,
        turnaround=setting.turnaround,
        insist_on_silence=setting.insist_on_silence,
        seed=trouble.seed,
    ) as wire:
        faults = RandomFaults(trouble.seed, trouble.chances) if trouble.chances else None
        gc.freeze()
        control.send(wire.path)
        while True:
            method, arguments = control.recv()
            answer: Any = None
            match method:
                case "end":
                    control.send(None)
                    return
                case "trouble":
                    wire.faults = faults
                case "report":
                    answer = LineReport(
                        wire.statistics(),
                        [
                            Heard(
                                one.start,
                                one.request.unit_id,
                                one.block,
                                one.fault,
                                one.planned if one.reply else None,
                            )
                            for one in wire.log
                        ],
                    )
                case _:
                    answer = getattr(wire, method)(*arguments)
            control.send(answer)


class FarEnd:
    """A running line; a context manager. `address` is its path, or its port on a network."""

    def __init__(self, setting: Setting, trouble: Trouble | None = None) -> None:
        """Start the process and wait until meters answer."""
        self._control, other = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=_serve, args=(setting, trouble or Trouble(seed=1), other), daemon=True
        )
        self._process.start()
        other.close()
        self.address: str | int = self._control.recv()

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of `Wire` over there, or `trouble` to let the trouble begin, or `report`."""
        self._control.send((method, arguments))
        return self._control.recv()

    def report(self) -> LineReport:
        """Return what happened since the last `reset_statistics`."""
        report: LineReport = self.call("report")
        return report

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        self.call("end")
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))
