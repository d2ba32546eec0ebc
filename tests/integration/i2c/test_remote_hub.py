"""A remote hub's circuits in Home Assistant: all that a bus of this computer offers, over TCP."""

from functools import partial
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from homeassistant.components import persistent_notification
from homeassistant.components.image import async_get_image
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
import pytest

from custom_components.energy_meter import circuit_moves
from custom_components.energy_meter.alarms.data import SUBENTRY_ALARM, alarm_id, data_of
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.metering.limits import Limit, LimitKind
from custom_components.energy_meter.sources.simulated.hub import SimulatedHub
from custom_components.energy_meter.sources.simulated.panel import SimulatedMonitor, simulated_panel
from tests.integration.bridge_ways.support import choose_way, created, heard, unloaded

from .remote import GONE, KEY, PACE, Remote, remote
from .support import entity_id, identity_of, running, shown, until
from .test_circuits import figure, fill_in

pytestmark = pytest.mark.usefixtures("socket_enabled")


def device_of(hass: HomeAssistant, place: Remote, monitor: SimulatedMonitor) -> dr.DeviceEntry:
    device = dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, identity_of(monitor)), place.entry.entry_id
    )
    assert device is not None
    return device


async def capture(hass: HomeAssistant, device_id: str, cycles: int = 2) -> dict[str, Any]:
    answer = await hass.services.async_call(
        DOMAIN,
        "capture_waveform",
        {"device_id": device_id, "cycles": cycles},
        blocking=True,
        return_response=True,
    )
    assert answer is not None
    return dict(answer)


def total(hass: HomeAssistant, monitor: SimulatedMonitor) -> float:
    return float(shown(hass, monitor, "energy_import"))


def notices(hass: HomeAssistant) -> list[str]:
    return list(persistent_notification._async_get_or_create_notifications(hass))


async def test_every_circuit_is_a_device_below_the_hub_with_what_it_measures(
    hass: HomeAssistant,
) -> None:
    async with remote(hass, 6) as place:
        monitor = place.monitors[0]
        device = device_of(hass, place, monitor)
        assert device.serial_number == f"{monitor.id:016X}"
        assert device.via_device_id is not None
        now = monitor.circuit.at(monitor._clock())
        assert float(shown(hass, monitor, "voltage")) == pytest.approx(now.voltage, abs=3)
        await until(lambda: shown(hass, monitor, "energy_import") not in GONE)
        energy = monitor.circuit.energy(monitor._clock()).taken
        assert float(shown(hass, monitor, "energy_import")) == pytest.approx(energy, abs=0.01)
        assert place.subentry(monitor).data["rated_current"] == 63
        pump = entity_id(hass, "switch", f"{identity_of(place.monitors[5])}_relay")
        await hass.services.async_call("switch", "turn_on", {"entity_id": pump}, blocking=True)
        assert place.monitors[5].relay == 1
        assert not notices(hass)  # The first ones are no news.


async def test_a_hub_is_added_by_its_address_and_key_once_its_circuits_were_shown(
    hass: HomeAssistant,
) -> None:
    hub = SimulatedHub(12, KEY, interval=PACE)
    port = await hub.start()
    try:
        async with unloaded(hass):
            flow = await choose_way(hass, "tcp")
            await flow.fill(host="127.0.0.1", port=port, key=KEY)
            said = await heard(flow)
            assert "Circuit 0x08" in said and "Circuit 0x13" in said
            await flow.fill(name="Cellar")
            entry = created(flow)
            await until(lambda: len(entry.subentries) == 12)
            assert {each.title for each in entry.subentries.values()} >= {"Circuit 0x08"}
    finally:
        await hub.stop()


async def test_circuits_come_with_a_notice_go_and_can_be_removed(hass: HomeAssistant) -> None:
    async with remote(hass, 2) as place:
        new = (await hass.async_add_executor_job(lambda: simulated_panel(3, panel="hub")))[2]
        place.sim.chips.append(new)
        await until(lambda: shown(hass, new, "power") not in GONE, 25)
        await until(lambda: any(f"{new.id:016x}" in each for each in notices(hass)))
        await until(lambda: shown(hass, new, "energy_import") not in GONE)
        place.sim.chips.remove(new)
        await until(lambda: shown(hass, new, "power") in GONE)
        assert shown(hass, new, "energy_import") not in GONE
        assert shown(hass, place.monitors[0], "power") not in GONE
        hass.config_entries.async_remove_subentry(place.entry, place.subentry(new).subentry_id)
        await hass.async_block_till_done()
        assert shown(hass, new, "power") == "missing"
        assert len(place.runtime.meters) == 2


async def test_the_table_names_circuits_and_totals_follow_them(hass: HomeAssistant) -> None:
    async with remote(hass, 9) as place:
        ids = [f"{each.id:016x}" for each in place.monitors]
        await fill_in(
            hass,
            place.entry,
            f"- {{id: {ids[1]}, name: Main L2, phase: L2, role: none}}\n"
            f"- {{id: {ids[3]}, name: Kitchen, phase: L2, role: device, inside: Main L2}}\n"
            f"- {{id: {ids[7]}, name: Heat pump L2, phase: L2, role: device, inside: Main L2}}\n",
        )
        rest = f"rest_{identity_of(place.monitors[1])}_power"
        await until(lambda: figure(hass, place.entry, rest) not in GONE)
        await until(lambda: figure(hass, place.entry, "total_l2_power") not in GONE)
        assert figure(hass, place.entry, "total_power") not in GONE
        assert device_of(hass, place, place.monitors[3]).name == "Kitchen"


async def test_a_waveform_is_answered_and_shown_through_the_hub(hass: HomeAssistant) -> None:
    async with remote(hass, 5) as place:
        kitchen = place.monitors[3]
        answer = await capture(hass, device_of(hass, place, kitchen).id, 1)
        now = kitchen.circuit.at(kitchen._clock())
        assert answer["voltage"]["rms"] == pytest.approx(now.voltage, abs=3)
        assert answer["voltage"]["crest_factor"] == pytest.approx(1.414, abs=0.02)
        assert answer["cycles"] == 1
        image = entity_id(hass, "image", f"{identity_of(kitchen)}_waveform")
        assert b"<polyline" in (await async_get_image(hass, image)).content


async def test_a_waveform_that_is_none_and_a_hub_that_is_away_are_told(hass: HomeAssistant) -> None:
    async with remote(hass, 2) as place:
        device = device_of(hass, place, place.monitors[0]).id

        async def nonsense(meter: str, cycles: int) -> dict[str, Any]:
            return {"rate": "fast", "cycles": cycles}

        with (
            patch.object(place.hub, "_capture", nonsense),
            pytest.raises(HomeAssistantError) as bad,
        ):
            await capture(hass, device)
        assert bad.value.translation_key == "bridge_bad_waveform"
        assert "rate" in str(bad.value)
        await place.hub_down()
        await until(lambda: not place.runtime.connected)
        with pytest.raises(HomeAssistantError) as away:
            await capture(hass, device)
        assert away.value.translation_key == "bridge_away"


async def test_two_at_one_address_raise_a_repair_that_goes_by_itself(hass: HomeAssistant) -> None:
    async with remote(hass) as place:
        issues, issue = ir.async_get(hass), f"i2c_address_shared.{place.entry.entry_id}"
        place.monitors[1].address = place.monitors[0].address
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is not None)
        found = issues.async_get_issue(DOMAIN, issue)
        assert found is not None and found.translation_placeholders is not None
        assert found.translation_placeholders["places"] == "0x08"
        await until(lambda: shown(hass, place.monitors[0], "power") in GONE)
        assert shown(hass, place.monitors[2], "power") not in GONE
        place.monitors[1].address = 0x44
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is None, 40)
        await until(lambda: shown(hass, place.monitors[0], "power") not in GONE, 40)


async def test_a_held_bus_is_a_repair_with_the_hubs_name(hass: HomeAssistant) -> None:
    async with remote(hass) as place:
        issues, issue = ir.async_get(hass), f"i2c_bus_held.{place.entry.entry_id}"
        place.sim.held = True
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is not None)
        place.sim.held = False
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is None, 25)


async def test_hub_and_monitors_that_lose_their_supply_together_cost_no_energy(
    hass: HomeAssistant,
) -> None:
    async with remote(hass, 3) as place:
        await until(
            lambda: all(shown(hass, each, "energy_import") not in GONE for each in place.monitors)
        )

        def back() -> bool:
            return all(shown(hass, each, "power") not in GONE for each in place.monitors)

        def counted_on(before: dict[int, float]) -> bool:
            return all(total(hass, each) >= before[each.id] + 0.2 for each in place.monitors)

        for forgets in (0.25, 0.5):  # kWh that were not saved when the supply failed.
            before = {each.id: total(hass, each) for each in place.monitors}
            for each in place.monitors:
                each.power(False)
            await place.hub_down()
            await until(lambda: not place.runtime.connected)
            for each in place.monitors:
                each.power(True, forgets=forgets)
            await place.hub_up()
            await until(back, 40)
            assert await hass.config_entries.async_reload(place.entry.entry_id)
            await until(back, 40)
            for each in place.monitors:
                assert 0 <= total(hass, each) - before[each.id] < 0.2
                each.lost -= 0.2  # So much flows at once.
            await until(partial(counted_on, before))
            for each in place.monitors:
                assert total(hass, each) - before[each.id] < 0.4
        assert not [issue for issue in ir.async_get(hass).issues if "meter_changed" in str(issue)]


async def test_a_monitor_that_moves_from_the_computers_bus_to_a_hub_takes_its_history_along(
    hass: HomeAssistant,
) -> None:
    with patch.object(circuit_moves, "PATIENCE", 0.5):
        async with running(hass, 3) as panel, remote(hass, 2) as place:
            moving = panel.monitors[2]
            await until(lambda: shown(hass, moving, "energy_import") not in GONE)
            hass.config_entries.async_update_subentry(
                panel.entry, panel.subentry(moving), title="Oven"
            )
            await hass.async_block_till_done()
            registry = er.async_get(hass)
            entity = entity_id(hass, "sensor", f"{identity_of(moving)}_energy_import")
            registry.async_update_entity(entity, name="What the oven has eaten")
            limit = Limit(
                kind=LimitKind.OVER_POWER, threshold=1e4, hysteresis=10, delay_on=1, delay_off=1
            )
            alarm = ConfigSubentry(
                data=MappingProxyType(data_of(identity_of(moving), limit)),
                subentry_type=SUBENTRY_ALARM,
                title="Oven power",
                unique_id=alarm_id(identity_of(moving), limit.kind),
            )
            hass.config_entries.async_add_subentry(panel.entry, alarm)
            await hass.async_block_till_done()
            problem = next(
                each.entity_id
                for each in registry.entities.values()
                if each.domain == "binary_sensor" and each.unique_id.startswith(identity_of(moving))
            )
            before = float(hass.states.get(entity).state)  # type: ignore[union-attr]

            panel.sim.chips.remove(moving)
            moving.power(False)
            moving.power(True, forgets=0.3)
            place.sim.chips.append(moving)
            await until(
                lambda: any(
                    each.unique_id == f"{moving.id:016x}"
                    for each in place.entry.subentries.values()
                ),
                25,
            )
            await until(lambda: shown(hass, moving, "power") not in GONE, 25)
            assert place.subentry(moving).title == "Oven"
            assert all(
                each.unique_id != f"{moving.id:016x}" for each in panel.entry.subentries.values()
            )
            moved = registry.async_get(entity)
            assert moved is not None
            assert moved.name == "What the oven has eaten"
            assert moved.config_entry_id == place.entry.entry_id
            assert moved.config_subentry_id == place.subentry(moving).subentry_id
            assert device_of(hass, place, moving).name == "Oven"
            assert before <= float(hass.states.get(entity).state) < before + 0.1  # type: ignore[union-attr]
            assert len(panel.runtime.meters) == 2
            assert not list(panel.entry.get_subentries_of_type(SUBENTRY_ALARM))
            [alarm] = place.entry.get_subentries_of_type(SUBENTRY_ALARM)
            assert alarm.title == "Oven power"
            kept = registry.async_get(problem)
            assert kept is not None and kept.config_entry_id == place.entry.entry_id
            await until(lambda: (state := hass.states.get(problem)) and state.state == "off")
            assert not [
                issue for issue in ir.async_get(hass).issues if "meter_changed" in str(issue)
            ]
            assert any(f"{moving.id:016x}" in each for each in notices(hass))

            # And back.
            place.sim.chips.remove(moving)
            panel.sim.chips.append(moving)
            await until(lambda: len(panel.runtime.meters) == 3, 40)
            await until(lambda: shown(hass, moving, "power") not in GONE, 25)
            assert panel.subentry(moving).title == "Oven"
            assert registry.async_get(entity).config_entry_id == panel.entry.entry_id  # type: ignore[union-attr]


async def test_a_monitor_whose_twin_is_read_elsewhere_is_not_taken_over_but_told(
    hass: HomeAssistant,
) -> None:
    with patch.object(circuit_moves, "PATIENCE", 0.5), patch.object(circuit_moves, "TWIN", 2.0):
        async with running(hass, 2) as panel, remote(hass, 2) as place:
            twin = SimulatedMonitor(panel.monitors[1].id, 0x50, panel.monitors[1].circuit)
            place.sim.chips.append(twin)
            issue = f"i2c_id_twice.{place.entry.entry_id}"
            await until(lambda: len(place.runtime._moves.twins) == 1, 25)
            place.runtime._look_for_problems()
            assert ir.async_get(hass).async_get_issue(DOMAIN, issue) is not None
            assert len(panel.entry.subentries) == 2
            assert len(place.entry.subentries) == 2
            assert shown(hass, panel.monitors[1], "power") not in GONE


async def test_a_hundred_circuits_come_in_by_themselves(hass: HomeAssistant) -> None:
    async with remote(hass, 100, patience=60) as place:
        assert len(place.entry.subentries) == 100
        assert not [each for each in notices(hass) if place.entry.entry_id in each]
        assert isinstance(place.hub, SimulatedHub) and place.hub.bytes / place.hub.rounds < 11_000
