"""One request at a time on a borrowed link, and the books about it.

Here a request is sent, waited for no longer than worth it, and what becomes of it is named. The guard against
late replies is told of everything that was asked, whoever asked it; so is the load of the line.
"""

from collections.abc import Callable, Coroutine
import contextlib
from dataclasses import dataclass, field
from enum import Enum, auto
import logging
from typing import Any, Final

from modbus_connection import (
    AcknowledgeError,
    GatewayPathUnavailableError,
    GatewayTargetError,
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    ModbusConnectionError,
    ModbusDesyncError,
    ModbusError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusUnit,
    ServerDeviceBusyError,
)

from .access import read_span
from .health import LineCounters
from .late import Form, LateGuard, form_of
from .probe import is_garbled
from .profile import Span
from .timing import LineTiming, within
from .wide_registers import wide_words

_LOGGER = logging.getLogger(__name__)

REOPEN_INTERVAL: Final = 0.5
"""Seconds between two attempts to open a link that is down; it does not grow."""
FLUSH_AFTER: Final = 3
"""Requests in a row without any answer after which the link is reopened once, see `Wire.flush`."""
LONGEST_REQUEST: Final = 15.0
"""Seconds; a meter that says "busy" is asked again by the shared connection for up to a minute."""


class Kind(Enum):
    """What became of a request."""

    ANSWERED = auto()
    SILENT = auto()
    """Nothing came, or a gateway said so."""
    DAMAGED = auto()
    """Bytes came that make no usable frame."""
    UNSURE = auto()
    """A reply that may belong to an earlier request."""
    REFUSED = auto()
    """The meter does not have these registers."""
    FAILED = auto()
    """The meter says it has trouble with these registers."""
    BUSY = auto()
    """The meter has no time."""
    DOWN = auto()
    """The link is down."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A read and what became of it."""

    kind: Kind
    words: list[int] = field(default_factory=list)
    turnaround: float | None = None
    """Seconds from the end of the request to the begin of its answer, where that can be told."""


@dataclass(slots=True)
class Station:
    """A unit id on the line."""

    unit: ModbusUnit
    guard: LateGuard = field(default_factory=LateGuard)
    gap: float = 0.0
    """Pause that it wants between two requests, seconds."""
    unsure: int = 0
    """Replies in a row that could not be told from late ones."""


class Wire:
    """The borrowed link.

    Args:
        get_unit: returns the unit with an id on the shared connection; called once per id.
        timing: of the line.
        sole_user: whether nobody but this line uses the connection just now.
        clock: monotonic, seconds.
        counters: where requests are counted.
        on_back: called when the link works again, with the seconds that it did not.
    """

    def __init__(
        self,
        get_unit: Callable[[int], ModbusUnit],
        timing: LineTiming,
        *,
        sole_user: Callable[[], bool],
        clock: Callable[[], float],
        counters: LineCounters,
        on_back: Callable[[float], None],
    ) -> None:
        """Take the link; nothing is opened before the first request."""
        self.timing = timing
        self.down_since: float | None = None
        """Since when the link is down, on the clock."""
        self.trouble: Exception | None = None
        """Why it is down."""
        self.open_at = 0.0
        """When to try to open it again."""
        self._get_unit = get_unit
        self._sole_user = sole_user
        self._clock = clock
        self._counters = counters
        self._on_back = on_back
        self._stations: dict[int, Station] = {}
        self._free_at = 0.0
        self._silences = 0
        self._flushed = False

    # Units

    def station(self, unit_id: int) -> Station:
        """Return what is known of a unit id, and ask the link for our time-out before it first opens."""
        station = self._stations.get(unit_id)
        if station is None:
            station = self._stations[unit_id] = Station(self._get_unit(unit_id))
            station.unit.require_timeout(self.timing.link_timeout(1, 0))
        return station

    def require(self, unit_id: int, *, gap: float, timeout: float | None) -> None:
        """Tell the link what a unit needs: a pause, and a time-out if not the least."""
        station = self.station(unit_id)
        station.gap = gap
        station.unit.set_message_spacing(gap)
        station.unit.require_timeout(timeout or self.timing.link_timeout(1, 0))

    def release(self) -> None:
        """Need nothing any more."""
        for station in self._stations.values():
            station.unit.set_message_spacing(0)
            station.unit.require_timeout(None)

    @property
    def connected(self) -> bool:
        """Whether the link is open."""
        return any(station.unit.connected for station in self._stations.values())

    @property
    def sole(self) -> bool:
        """Whether answer times say something about meters, since nobody else uses the link."""
        try:
            return self._sole_user()
        except Exception:
            _LOGGER.exception("Cannot tell who else uses the link")
            return False

    # Requests

    async def read(
        self, station: Station, span: Span, *, patience: float, register_bytes: int = 2
    ) -> Reply:
        """Read a span once; never raises for what a meter or a link may do.

        Args:
            station: whom to ask.
            span: what to read.
            patience: seconds to wait for the answer to begin, if nobody else uses the link.
            register_bytes: bytes per register that the meter sends.
        """

        async def call() -> list[int]:
            try:
                return await read_span(span, station.unit)
            except ModbusProtocolError as err:
                wide = wide_words(err, span.count) if register_bytes == 4 else None
                if wide is None:
                    raise
                return wide

        frames = self.timing.frames(span.table, span.count, register_bytes)
        quiet = self._quiet_left(station)
        sole = self.sole
        learnable = sole and station.unit.connected
        limit = quiet + frames + patience if sole else None
        begin = self._clock()
        words: list[int] = []
        kind = Kind.ANSWERED
        try:
            words = await self.exchange(station, form_of(span, register_bytes), call, limit)
        except TimeoutError, GatewayTargetError, GatewayPathUnavailableError:
            kind = Kind.SILENT
        except ModbusConnectionError:
            kind = Kind.DOWN
        except ModbusDesyncError:
            kind = Kind.DAMAGED
        except ModbusProtocolError as err:
            kind = Kind.DAMAGED if is_garbled(err) else Kind.UNSURE
        except ModbusExceptionError as err:
            kind = _kind_of(err) if station.guard.in_step else Kind.UNSURE
        except ModbusError:
            kind = Kind.DAMAGED
        if kind is not Kind.DOWN:
            self._counters.sent(failed=kind is not Kind.ANSWERED, timeout=kind is Kind.SILENT)
        if kind is Kind.SILENT:
            self._silences += 1
        if kind is not Kind.ANSWERED or not learnable:
            return Reply(kind, words)
        return Reply(kind, words, self._clock() - begin - quiet - frames)

    def _quiet_left(self, station: Station) -> float:
        """Seconds of silence that the link still keeps before the next request."""
        gap = max(self.timing.silence, station.gap)
        return max(0.0, self._free_at + gap - self._clock())

    async def exchange[T](
        self,
        station: Station,
        form: Form,
        call: Callable[[], Coroutine[Any, Any, T]],
        limit: float | None = None,
    ) -> T:
        """Carry out one request and keep the guard against late replies true.

        Args:
            station: whom to ask.
            form: of the request.
            call: sends it and waits for its answer.
            limit: seconds for that, not counting the opening of the link.

        Raises:
            ModbusConnectionError: the link is down.
            TimeoutError: no answer.
            ModbusError: an answer that cannot be used, or an exception reply.
        """
        begin = self._clock()
        lost = True
        answered = False
        try:
            if limit is None:
                result = await within(call(), LONGEST_REQUEST)
            else:
                result = await within(
                    call(), limit, begun=lambda: station.unit.connected, opening=LONGEST_REQUEST
                )
        except ModbusConnectionError as err:
            self._failed(begin, err)
            raise
        except ModbusExceptionError as err:
            answered = True
            if isinstance(err, GatewayTargetError | GatewayPathUnavailableError):
                raise
            lost = not station.guard.trusts_exception(form.function, begin)
            if not lost:
                station.guard.settle()
            raise
        except ModbusDesyncError:
            answered = True
            self._counters.foreign_traffic += 1
            raise
        except ModbusProtocolError as err:
            answered = True
            if station.guard.in_step and not is_garbled(err):
                self._counters.foreign_traffic += 1
            raise
        except TimeoutError as err:
            if not station.unit.connected:
                self._failed(begin, err)
                raise ModbusConnectionError(str(err)) from err
            raise
        except OSError as err:
            # A port that breaks while it is written to, or the files of a TLS link, read anew at each opening.
            self._failed(begin, err)
            raise ModbusConnectionError(str(err)) from err
        else:
            answered = True
            lost = False
            station.guard.answered(form)
            return result
        finally:
            now = self._clock()
            self._free_at = now
            self._counters.load.busy(begin, now)
            if lost:
                station.guard.lost(form, now)
            if answered:
                self._silences = 0
                self._flushed = False
                self.works()

    # The link

    def _failed(self, began: float, err: Exception) -> None:
        """The link is down: try again soon, and go on trying at the same pace."""
        now = self._clock()
        self.trouble = err
        if self.down_since is None:
            _LOGGER.debug("The Modbus link is down")
            self.down_since = now
            self.open_at = now
        else:
            self.open_at = max(began + REOPEN_INTERVAL, now)

    def works(self) -> None:
        """The link is open, whether or not anybody answers on it."""
        since, self.down_since = self.down_since, None
        self.trouble = None
        if since is not None:
            _LOGGER.debug("The Modbus link is back")
            self._on_back(self._clock() - since)

    async def flush(self) -> None:
        """Reopen the link if several requests in a row brought nothing, once until something comes.

        A reply whose length byte was damaged, or that was cut short, makes the shared client wait for the
        rest of it, and what other meters answer meanwhile is swallowed; it has no other way to forget.
        """
        if self._flushed or self._silences < FLUSH_AFTER or self.timing.is_network or not self.sole:
            return
        self._flushed = True
        await self.reopen()

    async def reopen(self) -> None:
        """Close the link; the next request opens it."""
        station = next(iter(self._stations.values()), None)
        if station is None or not station.unit.connected:
            return
        self._counters.recycled += 1
        _LOGGER.debug("Nobody on the Modbus line answers; opening the link anew")
        with contextlib.suppress(ModbusError, OSError, TimeoutError):
            await station.unit.disconnect()


def _kind_of(err: ModbusExceptionError) -> Kind:
    if isinstance(err, IllegalDataAddressError | IllegalDataValueError | IllegalFunctionError):
        return Kind.REFUSED
    if isinstance(err, ServerDeviceBusyError | AcknowledgeError):
        return Kind.BUSY
    return Kind.FAILED
