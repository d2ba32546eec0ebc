"""Fix flows: what a user can do about each issue, and what follows."""

from collections.abc import Callable
from typing import Any, override

from homeassistant.components.modbus.connection import DATA_MODBUS_CONNECTIONS
from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import CONF_DEVICE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from modbus_connection import ModbusSerialParams
import probatio

from .const import CONF_INVERT, CONF_SERIAL_NUMBER, DOMAIN
from .coordinator import MeterCoordinator
from .issues import Issue
from .metering import CounterAnswer
from .profiles import async_check_profiles
from .runtime_base import EntryRuntime, async_find_meter
from .sources.modbus.link import SerialSettings, link_from_data


class _Fix(RepairsFlow):
    """What all fix flows share: the issue's own texts, and whom it is about."""

    @property
    def subject(self) -> str:
        """Whom the issue is about: see `issues`."""
        return str((self.data or {})["subject"])

    @property
    def placeholders(self) -> dict[str, str] | None:
        """What fills in the issue's texts, and so its flow's."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id)
        return issue.translation_placeholders if issue else None

    def find(self) -> tuple[EntryRuntime, MeterCoordinator] | None:
        """The meter that it is about, if its line is running."""
        return async_find_meter(self.hass, self.subject)

    @property
    def entry(self) -> ConfigEntry | None:
        """The entry that it is about, if it is there."""
        entry_id = (self.data or {}).get("entry_id")
        return self.hass.config_entries.async_get_entry(str(entry_id))

    def menu(self, *options: str) -> RepairsFlowResult:
        """Ask which way."""
        return self.async_show_menu(
            step_id="init",
            menu_options=list(options),
            description_placeholders=self.placeholders,
        )

    def done(self) -> RepairsFlowResult:
        """The issue is settled."""
        return self.async_create_entry(data={})

    def not_running(self) -> RepairsFlowResult:
        """Nothing can be done while the line is not running."""
        return self.async_abort(reason="not_running")

    def reload(self, entry: ConfigEntry) -> RepairsFlowResult:
        """Load an entry again; settled unless that raises the issue anew."""
        # After the flow has deleted its issue.
        self.hass.loop.call_soon(self.hass.config_entries.async_schedule_reload, entry.entry_id)
        return self.done()

    def about(self, act: Callable[[EntryRuntime, MeterCoordinator], None]) -> RepairsFlowResult:
        """Do something about the meter; settled then."""
        found = self.find()
        if found is None:
            return self.not_running()
        result = self.done()
        # After the flow has deleted its issue, as acting may raise the next one.
        self.hass.loop.call_soon(act, *found)
        return result


class MeterChangedFix(_Fix):
    """Meter replaced, reset, or neither?"""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return self.menu("new_meter", "reset", "ignore")

    async def async_step_new_meter(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Another meter hangs there."""
        return self._answer(CounterAnswer.NEW_METER)

    async def async_step_reset(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """The meter began again at zero."""
        return self._answer(CounterAnswer.RESET)

    async def async_step_ignore(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Nothing was changed."""
        return self._answer(CounterAnswer.IGNORE)

    def _answer(self, answer: CounterAnswer) -> RepairsFlowResult:
        return self.about(lambda _runtime, meter: meter.async_answer(answer))


class _ConfirmFix(_Fix):
    """One thing to do, once the user agrees."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Go to the only question."""
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Ask, then do it."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm",
                data_schema=probatio.Schema({}),
                description_placeholders=self.placeholders,
            )
        return await self.async_fix()

    async def async_fix(self) -> RepairsFlowResult:
        """Do it."""
        raise NotImplementedError


class UndoFix(_ConfirmFix):
    """Take the answer about a counter back."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        return self.about(lambda _runtime, meter: meter.async_undo())


class LookAgainFix(_ConfirmFix):
    """The user has put something right at the meter or its wires: the issue comes back if not."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        found, entry = self.find(), self.entry
        if found is not None:
            runtime, meter = found
            runtime.async_checked(meter)
        elif entry is not None and entry.state is ConfigEntryState.LOADED:
            entry.runtime_data.async_look_again()
        return self.done()


class WrongMeterFix(_Fix):
    """Another serial number answers: take it as the successor, or put the wires right."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return self.menu("accept", "rewired")

    async def async_step_accept(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """It replaces the old meter; the totals go on."""
        serial_number = (self.data or {}).get("found") or None

        def accept(runtime: EntryRuntime, meter: MeterCoordinator) -> None:
            data = {**meter.subentry.data}
            data.pop(CONF_SERIAL_NUMBER, None)
            if serial_number is not None:
                data[CONF_SERIAL_NUMBER] = serial_number
            self.hass.config_entries.async_update_subentry(runtime.entry, meter.subentry, data=data)

        return self.about(accept)

    async def async_step_rewired(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """It was put right; the line looks by itself."""
        return self.done()


class ReversedFix(_Fix):
    """Power flows the wrong way: turn it over in the numbers, or leave it."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return self.menu("invert", "turned", "leave")

    async def async_step_invert(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Exchange import and export from now on."""

        def invert(runtime: EntryRuntime, meter: MeterCoordinator) -> None:
            data = meter.subentry.data
            self.hass.config_entries.async_update_subentry(
                runtime.entry,
                meter.subentry,
                data={**data, CONF_INVERT: not data.get(CONF_INVERT, False)},
            )

        return self.about(invert)

    async def async_step_turned(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """The transformer was turned over; look anew."""
        return self.about(lambda runtime, meter: runtime.async_checked(meter))

    async def async_step_leave(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """It is meant to be so."""
        issue = Issue(str((self.data or {})["issue"]))
        return self.about(lambda _runtime, meter: meter.async_decline(issue))


class SwappedPhasesFix(ReversedFix):
    """One phase is wired the wrong way: that no arithmetic mends."""

    @override
    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        return self.menu("turned", "leave")


class SensorFix(_Fix):
    """A sensor that cannot be right: it was looked after, or it is meant to be so."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return self.menu("checked", "leave")

    async def async_step_checked(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """It was put right; look anew."""
        return self.about(lambda runtime, meter: runtime.async_checked(meter))

    async def async_step_leave(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """It is meant to be so."""
        issue = Issue(str((self.data or {})["issue"]))
        return self.about(lambda _runtime, meter: meter.async_decline(issue))


class ReloadFix(_ConfirmFix):
    """The user has put something right: begin anew with the entry."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        entry = self.entry
        return self.not_running() if entry is None else self.reload(entry)


class AcknowledgeFix(_ConfirmFix):
    """Nothing to do but to know it."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        return self.done()


class WrongBridgeFix(_Fix):
    """Another bridge answers: take it as the successor, or put the cable or the address right."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return self.menu("accept", "rewired")

    async def async_step_accept(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """It replaces the old bridge; its meters of the same names go on with the totals."""
        entry, found = self.entry, str((self.data or {}).get("found"))
        if entry is None:
            return self.not_running()
        entries = self.hass.config_entries.async_entries(DOMAIN)
        if any(other.unique_id == found for other in entries if other is not entry):
            return self.async_abort(reason="already_configured")
        self.hass.config_entries.async_update_entry(entry, unique_id=found)
        return self.reload(entry)

    async def async_step_rewired(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """It was put right; the old one says so itself."""
        entry = self.entry
        return self.not_running() if entry is None else self.reload(entry)


class ProfileFix(_ConfirmFix):
    """Look at the custom profiles again, and try meters that had none."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        await async_check_profiles(self.hass)
        if ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id) is not None:
            return self.async_abort(
                reason="still_broken", description_placeholders=self.placeholders
            )
        return self.done()


class AdapterMovedFix(_ConfirmFix):
    """Follow the adapter to its new path."""

    @override
    async def async_fix(self) -> RepairsFlowResult:
        entry, device = self.entry, (self.data or {}).get("device")
        if entry is None:
            return self.not_running()
        self.hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_DEVICE: device})
        return self.reload(entry)


class LinkClashFix(_Fix):
    """Another user has the line: take its settings, or try again."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        if self._theirs() is None:
            return self.menu("retry")
        return self.menu("adopt", "retry")

    def _theirs(self) -> SerialSettings | None:
        entry = self.entry
        if entry is None:
            return None
        link = link_from_data(entry.data)
        shared = self.hass.data.get(DATA_MODBUS_CONNECTIONS, {}).get(link.endpoint)
        if shared is None or link.serial_settings is None:
            return None
        params = shared.params
        if not isinstance(params, ModbusSerialParams):
            return None
        return SerialSettings(
            baudrate=params.baudrate,
            bytesize=params.bytesize,
            parity=params.parity,
            stopbits=params.stopbits,
        )

    async def async_step_adopt(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Use the other one's settings."""
        entry, theirs = self.entry, self._theirs()
        if entry is None or theirs is None:
            return self.not_running()
        self.hass.config_entries.async_update_entry(entry, data={**entry.data, **theirs.to_data()})
        return self.reload(entry)

    async def async_step_retry(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """The other one was changed or removed."""
        entry = self.entry
        return self.not_running() if entry is None else self.reload(entry)


_FIXES: dict[Issue, type[_Fix]] = {
    Issue.METER_CHANGED: MeterChangedFix,
    Issue.METER_CHANGE_UNDO: UndoFix,
    Issue.SILENT: LookAgainFix,
    Issue.LIMIT_SILENT: LookAgainFix,
    Issue.LOAD_NO_REACTION: LookAgainFix,
    Issue.WRONG_METER: WrongMeterFix,
    Issue.REVERSED: ReversedFix,
    Issue.SWAPPED_PHASES: SwappedPhasesFix,
    Issue.DUPLICATE_ADDRESS: LookAgainFix,
    Issue.LINK_DOWN: LookAgainFix,
    Issue.NOISE: LookAgainFix,
    Issue.FOREIGN_TRAFFIC: LookAgainFix,
    Issue.PROFILE_MISSING: ProfileFix,
    Issue.BROKEN_PROFILE: ProfileFix,
    Issue.ADAPTER_MOVED: AdapterMovedFix,
    Issue.LINK_CLASH: LinkClashFix,
    Issue.BRIDGE_SILENT: LookAgainFix,
    Issue.BRIDGE_METER_SILENT: LookAgainFix,
    Issue.BRIDGE_CLOCK: LookAgainFix,
    Issue.BRIDGE_TOO_OLD: ReloadFix,
    Issue.BRIDGE_TOO_NEW: ReloadFix,
    Issue.BRIDGE_ROLLED_BACK: AcknowledgeFix,
    Issue.WRONG_BRIDGE: WrongBridgeFix,
    Issue.SENSOR_CLIPPING: SensorFix,
    Issue.SENSOR_STUCK: SensorFix,
    Issue.I2C_ADDRESS_SHARED: LookAgainFix,
    Issue.I2C_HIDDEN: LookAgainFix,
    Issue.I2C_ID_TWICE: LookAgainFix,
    Issue.I2C_MONITOR_VERSION: LookAgainFix,
    Issue.I2C_BUS_HELD: LookAgainFix,
    Issue.I2C_BUS_GONE: LookAgainFix,
    Issue.MESSENGER_FAILS: ReloadFix,
}


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Create the flow that fixes an issue."""
    return _FIXES[Issue(str((data or {})["issue"]))]()
