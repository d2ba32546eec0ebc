"""Relays at run time: switched within their interlock, read back, and recorded with who did it and why."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from homeassistant.components.sensor.const import DOMAIN as SENSOR_DOMAIN
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, callback, split_entity_id
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import CONF_IDENTITY, DOMAIN
from ..controlled import Controlled
from ..model import Control, ControlKind, Value
from ..store import MeterStore
from .interlock import BY_METER, CONFIRM_UNTIL, Confirmation, Interlock, RelayRecord, is_on

SUBENTRY_INTERLOCK: Final = "interlock"
CONF_CONTROL: Final = "control"
CONF_MINIMUM_OFF: Final = "minimum_off"
CONF_MUST_BE_OFF: Final = "must_be_off"
CONF_CONFIRM: Final = "confirm"
RELAY: Final = "relay"
LATE: Final = 60.0
"""Seconds from a command on, in which a change is put down to it, confirmed or not; it is answered within ten."""

type Command = Callable[[str, Value], Any]


def is_relay(control: Control) -> bool:
    """Whether a control is a relay: `relay`, or one of several, `relay_2`."""
    base, _, number = control.key.partition("_")
    return (
        control.kind is ControlKind.SWITCH and base == RELAY and (not number or number.isdecimal())
    )


def interlock_of(data: Mapping[str, Any]) -> Interlock:
    """The interlock that a subentry describes."""
    return Interlock(
        minimum_off=float(data.get(CONF_MINIMUM_OFF) or 0),
        must_be_off=tuple(data.get(CONF_MUST_BE_OFF) or ()),
        confirm=data.get(CONF_CONFIRM) is True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What somebody here wants of a relay."""

    on: bool
    who: str
    reason: str | None
    held: bool
    until: float
    """Monotonic time up to which a change is his."""


class Relay:
    """One relay."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry[Any],
        place: Controlled,
        control: Control,
        command: Command,
        *,
        changed: Callable[[], None],
    ) -> None:
        """Follow a relay; `command` has it switched, `changed` is called when there is something to keep."""
        self.hass = hass
        self.place = place
        self.control = control
        self.said: str | None = None
        """The reason that the meter gives for a change that is about to be seen."""
        self.record = RelayRecord.from_dict(place.relays.get(control.key))
        self._entry = entry
        self._command = command
        self._changed = changed
        self._off, self._on = sorted(control.options) if control.options else (0, 1)
        self._attempt: _Attempt | None = None
        self._confirmation = Confirmation()
        self._lock = asyncio.Lock()
        self._shown: set[Callable[[], None]] = set()
        place.async_subscribe_setting(control.key, self.look)
        self.look()

    @property
    def name(self) -> str:
        """What it belongs to."""
        name: str = getattr(self.place, "name", self._entry.title)
        return name

    @property
    def interlock(self) -> Interlock:
        """What the user has asked for; nothing, if he has not."""
        for subentry in self._entry.get_subentries_of_type(SUBENTRY_INTERLOCK):
            data = subentry.data
            if (data[CONF_IDENTITY], data[CONF_CONTROL]) == (self.place.identity, self.control.key):
                return interlock_of(data)
        return Interlock()

    @callback
    def async_on_show(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when the record has changed."""
        self._shown.add(update)
        return lambda: self._shown.discard(update)

    @callback
    def look(self) -> None:
        """See how it stands, and to whom a change is owed."""
        value = self.place.settings.get(self.control.key)
        if value is None or (on := value == self._on) == self.record.on:
            return
        attempt, self._attempt = self._attempt, None
        if self.record.on is None:
            self._keep(RelayRecord(on=on))
        elif attempt is not None and attempt.on == on and self.hass.loop.time() <= attempt.until:
            self._keep(_done(attempt, dt_util.utcnow().timestamp()))
        else:
            now = dt_util.utcnow().timestamp()
            self._keep(RelayRecord(on=on, changed_by=BY_METER, reason=self.said, since=now))

    def _keep(self, record: RelayRecord) -> None:
        self.record = record
        self.place.relays[self.control.key] = record.to_dict()
        self._changed()
        for update in tuple(self._shown):
            update()

    async def async_switch(
        self,
        on: bool,
        *,
        who: str,
        reason: str | None = None,
        supply: bool = False,
        by_hand: bool = False,
    ) -> None:
        """Switch it and wait until it is read back.

        `supply` disconnects for good, or ends that: a plain command does not bring the relay back meanwhile.
        `by_hand`: a person has touched a switch, who may be asked whether that was meant.

        Raises:
            ServiceValidationError: its interlock, or a disconnected supply, does not allow it now, or it is to be
                confirmed.
            HomeAssistantError: it was refused, not answered, or does not stand as it should.
        """
        async with self._lock:
            self._check(on, supply=supply)
            if by_hand and on != self.record.on:
                self._confirm(on, who)
            held = supply and not on
            # If it fails, the answer may have been lost, and not the command.
            until = self.hass.loop.time() + LATE
            attempt = _Attempt(on=on, who=who, reason=reason, held=held, until=until)
            self._attempt = attempt
            value = self._on if on else self._off
            await self._command(self.control.key, value)
            self.look()
            self._attempt = None
            if self.place.settings.get(self.control.key) != value:
                raise self._failure("relay_not_confirmed")
            if supply:
                since = self.record.since
                done = _done(attempt, dt_util.utcnow().timestamp())
                self._keep(done if since is None else replace(done, since=since))

    def _check(self, on: bool, *, supply: bool) -> None:
        record, interlock = self.record, self.interlock
        if not self.place.reachable:
            raise self._failure("relay_unreachable")
        if on:
            if record.held and not supply:
                raise self._refusal(
                    "relay_held", who=record.changed_by or "", reason=record.reason or ""
                )
            wait = interlock.wait(record, dt_util.utcnow().timestamp())
            if wait > 0:
                raise self._refusal("relay_minimum_off", seconds=f"{wait:.0f}")
        elif record.on is not False:
            known = {entity_id: self._is_on(entity_id) for entity_id in interlock.must_be_off}
            for key, which in (("relay_load_on", True), ("relay_load_unknown", None)):
                if loads := [self._spoken(each) for each, load in known.items() if load is which]:
                    raise self._refusal(key, loads=", ".join(loads))

    def _confirm(self, on: bool, who: str) -> None:
        if self.interlock.confirm and not self._confirmation.take((on, who), self.hass.loop.time()):
            key = "relay_confirm_on" if on else "relay_confirm_off"
            raise self._refusal(key, seconds=f"{CONFIRM_UNTIL:.0f}")

    def _is_on(self, entity_id: str) -> bool | None:
        state = self.hass.states.get(entity_id)
        power = split_entity_id(entity_id)[0] == SENSOR_DOMAIN
        return is_on(None if state is None else state.state, power=power)

    def _spoken(self, entity_id: str) -> str:
        state = self.hass.states.get(entity_id)
        return entity_id if state is None else state.name

    def _refusal(self, key: str, **placeholders: str) -> ServiceValidationError:
        return ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"name": self.name, **placeholders},
        )

    def _failure(self, key: str) -> HomeAssistantError:
        return HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"name": self.name},
        )


def _done(attempt: _Attempt, now: float) -> RelayRecord:
    return RelayRecord(
        on=attempt.on,
        changed_by=attempt.who,
        reason=attempt.reason,
        since=now,
        held=attempt.held,
    )


class Relays:
    """All relays of an entry."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], store: MeterStore) -> None:
        """Begin without any; they come with their switches."""
        self.hass = hass
        self.entry = entry
        self._store = store
        self._relays: dict[tuple[str, str], Relay] = {}

    def get(self, place: Controlled, control: Control, command: Command) -> Relay:
        """The relay that a control is; followed from now on."""
        known = self.find(place, control.key)
        if known is None:
            known = Relay(
                self.hass,
                self.entry,
                place,
                control,
                command,
                changed=lambda: self._store.async_save_soon(0),
            )
            self._relays[place.identity, control.key] = known
        return known

    def find(self, place: Controlled, key: str) -> Relay | None:
        """A relay that is followed."""
        relay = self._relays.get((place.identity, key))
        return relay if relay is not None and relay.place is place else None

    def of(self, place: Controlled) -> list[Relay]:
        """The relays of a meter or a bridge, the main one first."""
        relays = (each for each in self._relays.values() if each.place is place)
        return sorted(relays, key=lambda each: each.control.key)

    @callback
    def async_let_go(self, place: Controlled) -> None:
        """Follow the relays of a meter no more; what is kept of them stays with it."""
        self._relays = {key: each for key, each in self._relays.items() if each.place is not place}

    def __iter__(self) -> Iterator[Relay]:
        """Each of them."""
        return iter(self._relays.values())


async def async_who(hass: HomeAssistant, context: Context | None) -> str:
    """What stands behind an action: an automation or a script, a person, or Home Assistant itself."""
    who, _by_hand = await async_cause(hass, context)
    return who


async def async_cause(hass: HomeAssistant, context: Context | None) -> tuple[str, bool]:
    """What stands behind an action, and whether a person has done it with his own hand."""
    if context is None:
        return "Home Assistant", False
    for state in hass.states.async_all(("automation", "script")):
        if state.context.id in {context.id, context.parent_id}:
            return state.name, False
    if context.user_id is not None:
        user = await hass.auth.async_get_user(context.user_id)
        if user is not None:
            return user.name or context.user_id, True
    return "Home Assistant", False
