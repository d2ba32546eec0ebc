"""Every built-in profile's meter is recognised among all profiles, over the real client and server."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from modbus_connection import ModbusTcpParams, ModbusUnit
from modbus_connection.tmodbus import ModbusConnection
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
import pytest

from custom_components.energy_meter.sources.modbus.identify import (
    Candidate,
    Certainty,
    ReasonKind,
    identify,
    proof,
)
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.probe import ProbeChannel, TemporaryChannel
from custom_components.energy_meter.sources.modbus.profile import Profile, Table
from custom_components.energy_meter.sources.modbus.reader import MeterLost
from tests.support.meters import MeterServer
from tests.support.models import SERIAL_NUMBER, SUNSPEC_BASE, ModelMeter, Scene, model_meter

pytestmark = pytest.mark.usefixtures("socket_enabled")

PROFILES: Final[Sequence[Profile]] = tuple(ProfileLibrary(None).load_all().values())
BY_SLUG: Final = {profile.slug: profile for profile in PROFILES}
UNIT: Final = 17

TWINS: Final = {"orno_or_we_516": "bgetech_drt428m"}
"""Profiles with one register map and no identification: nothing on the wire tells them apart."""

DEMO: Final = (
    "eastron_sdm630",
    "eastron_sdm120m",
    "chint_dtsu666",
    "carlo_gavazzi_em112",
    "peacefair_pzem-004t-v3",
    "orno_or_we_514",
    "abb_b23",
    "schneider_iem3155",
    "hiking_dds238-2",
)


class CountingChannel:
    """A channel that counts what goes through it."""

    def __init__(self, channel: ProbeChannel) -> None:
        self._channel = channel
        self.requests = 0

    async def request[T](
        self,
        unit_id: int,
        operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
        *,
        timeout: float | None = None,
        urgent: bool = False,
    ) -> T:
        self.requests += 1
        return await self._channel.request(unit_id, operation, timeout=timeout, urgent=urgent)


@asynccontextmanager
async def channel_to(*meters: ModelMeter) -> AsyncIterator[CountingChannel]:
    """Modbus TCP to simulated meters."""
    with MeterServer(meters) as server:
        connection = ModbusConnection(ModbusTcpParams(host="127.0.0.1", port=server.serve_tcp()))

        @asynccontextmanager
        async def borrow(unit_id: int) -> AsyncIterator[ModbusUnit]:
            yield connection.for_unit(unit_id)

        try:
            async with TemporaryChannel(borrow) as channel:
                yield CountingChannel(channel)
        finally:
            await connection.close()


async def _identified(meter: ModelMeter) -> tuple[list[Candidate], int]:
    async with channel_to(meter) as channel:
        found = await identify(channel, meter.unit_id, PROFILES)
        return found, channel.requests


def _place(found: Sequence[Candidate], slug: str) -> int:
    """1 for the first; twins count as one."""
    accepted = {slug, TWINS.get(slug)}
    return next((place for place, one in enumerate(found, 1) if one.slug in accepted), 99)


async def _confusion(
    make: Callable[[Profile, int], ModelMeter], worst: int
) -> dict[str, list[tuple[str, float]]]:
    """Which models do not come out among the first `worst`, and what does instead."""
    units = dict(zip(BY_SLUG, range(11, 247), strict=False))
    confused: dict[str, list[tuple[str, float]]] = {}
    async with channel_to(*(make(BY_SLUG[slug], units[slug]) for slug in BY_SLUG)) as channel:
        for slug, unit_id in units.items():
            before = channel.requests
            found = await identify(channel, unit_id, PROFILES)
            if _place(found, slug) > worst:
                confused[slug] = [(one.slug, one.score) for one in found[:5]]
            assert channel.requests - before < 250, slug
            if worst == 1 and BY_SLUG[slug].info_register("serial_number"):
                own = next(one for one in found if one.slug == slug)
                assert own.serial_number is not None, slug
                assert str(SERIAL_NUMBER).endswith(own.serial_number.lstrip("0")), slug
    return confused


async def test_every_model_is_recognised_among_all() -> None:
    assert len(BY_SLUG) > 110
    assert await _confusion(model_meter, worst=1) == {}


@pytest.mark.parametrize(
    ("scene", "coded", "lenient"),
    [
        pytest.param(Scene(load=0), True, False, id="idle"),
        pytest.param(Scene(load=-0.7), True, False, id="feeding back"),
        pytest.param(Scene(), False, False, id="codes unknown"),
        pytest.param(Scene(), True, True, id="zeros for missing registers"),
    ],
)
async def test_models_are_among_the_first_three_in_less_than_ideal_cases(
    scene: Scene, coded: bool, lenient: bool
) -> None:
    def make(profile: Profile, unit_id: int) -> ModelMeter:
        return model_meter(profile, unit_id, scene=scene, coded=coded, lenient=lenient)

    assert await _confusion(make, worst=3) == {}


@pytest.mark.parametrize("slug", DEMO)
async def test_common_meters_are_certain_and_show_their_values(slug: str) -> None:
    found, _requests = await _identified(model_meter(BY_SLUG[slug], UNIT))
    best = found[0]
    assert (best.slug, best.certainty) == (slug, Certainty.CERTAIN)
    power = best.values.get("power", best.values.get("power_l1"))
    assert power is not None and power > 1000
    assert any(reason.kind is ReasonKind.VALUE for reason in best.reasons)
    assert all(str(reason) for reason in best.reasons)


async def test_a_telling_code_saves_most_reads() -> None:
    _found, requests = await _identified(model_meter(BY_SLUG["eastron_sdm120m"], UNIT))
    assert requests < 45


@pytest.mark.parametrize(("unit_id", "slug"), enumerate(DEMO, 1))
async def test_small_addresses_mislead_nobody(unit_id: int, slug: str) -> None:
    """Some profiles look for the address itself in a register, and small numbers are everywhere."""
    found, _requests = await _identified(model_meter(BY_SLUG[slug], unit_id))
    assert found[0].slug == slug
    assert found[0].certainty is Certainty.CERTAIN


async def test_a_meter_with_its_floats_turned_round_is_recognised_with_that_order() -> None:
    """Indian panel meters let their owner choose the word order."""
    profile = BY_SLUG["selec_mfm384"]
    meter = model_meter(profile, UNIT, coded=False)
    for register in profile.registers:
        table = meter.table(register.span.table)
        low, high = register.span.address, register.span.end - 1
        table[low], table[high] = table[high], table[low]
    found, _requests = await _identified(meter)
    own = next(one for one in found if one.slug == profile.slug)
    assert own.word_order == ("little" if profile.word_order == "big" else "big")
    assert own.values["voltage_l1"] == pytest.approx(231.4, abs=0.1)


async def test_a_sunspec_meter_is_found_where_its_block_is() -> None:
    found, _requests = await _identified(model_meter(BY_SLUG["sunspec_meter-int"], UNIT))
    assert (found[0].slug, found[0].base_address) == ("sunspec_meter-int", SUNSPEC_BASE)


async def test_what_is_no_meter_is_like_nothing() -> None:
    """A device with a few registers of small numbers, as any other Modbus device has."""
    other = ModelMeter(unit_id=UNIT, holding={place: place % 7 for place in range(200)})
    found, _requests = await _identified(other)
    assert all(one.certainty is Certainty.POSSIBLE for one in found)


class _Deaf(ModelMeter):
    """Says nothing at all to what it does not know."""

    def answer_read(self, table: Table, address: int, count: int) -> list[int] | ExcCodes:
        answer = ModelMeter.answer_read(self, table, address, count)
        if isinstance(answer, list):
            return answer
        raise NoSuchIdException("silent")  # type: ignore[no-untyped-call]


async def test_a_meter_that_ignores_what_it_does_not_know_is_recognised_all_the_same() -> None:
    meter = model_meter(BY_SLUG["hiking_dds238-2"], UNIT)
    deaf = _Deaf(unit_id=UNIT, holding=meter.holding, input=meter.input, codes=meter.codes)
    async with channel_to(deaf) as channel:
        found = await identify(channel, UNIT, PROFILES, timeout=0.2)
    assert found[0].slug == "hiking_dds238-2"


async def test_a_meter_that_falls_silent_is_no_candidate() -> None:
    async with channel_to(model_meter(BY_SLUG["eastron_sdm630"], 1)) as channel:
        assert await identify(channel, 2, PROFILES, timeout=0.02) == []
        with pytest.raises(MeterLost):
            await proof(channel, 2, BY_SLUG["eastron_sdm630"], timeout=0.02)


# Any meter with any profile


@pytest.mark.parametrize("slug", DEMO)
async def test_the_right_profile_shows_sound_values(slug: str) -> None:
    profile = BY_SLUG[slug]
    async with channel_to(model_meter(profile, UNIT)) as channel:
        shown = await proof(channel, UNIT, profile)
    assert shown.plausible
    assert shown.missing == ()
    assert any(value and value > 1000 for key, value in shown.values.items() if "power" in key)


async def test_a_wrong_profile_shows_that_it_is_wrong() -> None:
    async with channel_to(model_meter(BY_SLUG["eastron_sdm630"], UNIT)) as channel:
        missing = await proof(channel, UNIT, BY_SLUG["abb_b23"])
        nonsense = await proof(channel, UNIT, BY_SLUG["peacefair_pzem-004t-v3"])
    assert not missing.plausible and missing.missing
    assert not nonsense.plausible


async def test_proof_follows_word_order_and_base_address() -> None:
    profile = BY_SLUG["sunspec_meter-float"]
    async with channel_to(model_meter(profile, UNIT)) as channel:
        placed = await proof(channel, UNIT, profile, base_address=SUNSPEC_BASE)
        turned = await proof(channel, UNIT, profile, base_address=SUNSPEC_BASE, word_order="little")
    assert placed.plausible and placed.values["voltage_l1"] == pytest.approx(231.4, abs=0.1)
    assert not turned.plausible
