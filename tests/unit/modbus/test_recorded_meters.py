"""What real meters and their manuals say: published replies, decoded by the profile of the model."""

from dataclasses import dataclass, field

import pytest

from custom_components.energy_meter.sources.modbus.codec import RegisterImage, decode
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.profile import Span, Table

LIBRARY = ProfileLibrary()


@dataclass(frozen=True)
class Recording:
    """The data bytes of a reply and what they stand for."""

    slug: str
    source: str
    address: int
    data: str
    values: dict[str, float | None] = field(default_factory=dict)


RECORDINGS = (
    Recording(
        "abb_b23",
        "ABB A43/A44 user manual 2CMC48001M0201 rev. C, 9.11.1, first answer",
        0x5000,
        """00 00 00 00 00 0D 12 90  00 00 00 00 00 03 12 09  00 00 00 00 00 0A 00 86
           00 00 00 00 00 04 17 05  00 00 00 00 00 01 2B 18  00 00 00 00 00 02 EB ED
           00 00 00 00 00 0E A7 FE  00 00 00 00 00 03 DB 92  00 00 00 00 00 0A CC 6C""",
        {
            "energy_import": 8567.20,
            "energy_export": 2012.25,
            "energy_net": 6554.94,
            "reactive_energy_import": 2680.37,
            "reactive_energy_export": 765.68,
            "reactive_energy_net": 1914.69,
        },
    ),
    Recording(
        "abb_b23",
        "ABB A43/A44 user manual 2CMC48001M0201 rev. C, 9.11.1, second answer: four tariffs each way",
        0x5170,
        """00 00 00 00 00 04 5F 06  00 00 00 00 00 00 D3 EA  00 00 00 00 00 07 0B 20
           00 00 00 00 00 00 D4 80  FF FF FF FF FF FF FF FF  FF FF FF FF FF FF FF FF
           FF FF FF FF FF FF FF FF  FF FF FF FF FF FF FF FF
           00 00 00 00 00 00 10 D1  00 00 00 00 00 01 AD F6  00 00 00 00 00 00 F1 FE
           00 00 00 00 00 00 61 44""",
        {
            "energy_import_t1": 2864.70,
            "energy_import_t2": 542.50,
            "energy_import_t3": 4616.00,
            "energy_import_t4": 544.00,
            "energy_export_t1": 43.05,
            "energy_export_t2": 1100.70,
            "energy_export_t3": 619.50,
            "energy_export_t4": 249.00,
        },
    ),
    Recording(
        "abb_b23",
        "ABB A43/A44 user manual 2CMC48001M0201 rev. C, 9.11.1, energies per phase",
        0x5460,
        """00 00 00 00 00 03 12 92  00 00 00 00 00 04 98 E1  00 00 00 00 00 05 66 55
           00 00 00 00 00 00 92 3A  00 00 00 00 00 01 1C 9B  00 00 00 00 00 01 63 33""",
        {
            "energy_import_l1": 2013.62,
            "energy_import_l2": 3012.81,
            "energy_import_l3": 3538.77,
            "energy_export_l1": 374.34,
            "energy_export_l2": 728.59,
            "energy_export_l3": 909.31,
        },
    ),
    Recording(
        "eastron_sdm630",
        "Eastron SDM320Y user manual V1.0, page 42; the same frame in B+G e-tech's SDM630 text",
        0x0000,
        "43 66 33 34",
        {"voltage_l1": 230.2},
    ),
    Recording(
        "hiking_dds238-2",
        "arendst/Tasmota issue 7457, 10:09:52 (242.4 V, 1.19 kW, 12.67 kWh export)",
        0x0000,
        """00 00 1C AE 00 00 00 00 00 00 00 00 00 00 00 00 00 00 04 F3 00 00 17 BB
           09 78 01 ED 04 A8 00 6E 03 E3 13 88""",
        {
            "energy_total": 73.42,
            "energy_export": 12.67,
            "energy_import": 60.75,
            "voltage": 242.4,
            "current": 4.93,
            "power": 1192,
            "power_factor": 0.995,
            "frequency": 50.0,
        },
    ),
    Recording(
        "peacefair_pzem-004t-v3",
        "arendst/Tasmota issue 11118, 17:10:29: power above 6553.5 W shows that the low word comes first",
        0x0000,
        "09 6D 71 6D 00 00 0D 3B 00 01 1E F6 00 00 01 F4 00 62 00 00",
        {
            "voltage": 241.3,
            "current": 29.037,
            "power": 6892.3,
            "energy_import": 7.926,
            "frequency": 50.0,
            "power_factor": 0.98,
        },
    ),
    Recording(
        "carlo_gavazzi_em112",
        "ioBroker/ioBroker.modbus issue 286: an ET112, low word first",
        0x0000,
        "09 1B 00 00",
        {"voltage": 233.1},
    ),
    Recording(
        "orno_or_we_516",
        "volkszaehler/mbmd pull request 129: the frequency of an OR-WE-516",
        0x0014,
        "42 48 00 00",
        {"frequency": 50.0},
    ),
)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda one: f"{one.slug}-{one.address:04x}")
def test_a_published_reply_is_decoded(recording: Recording) -> None:
    profile = LIBRARY.load(recording.slug)
    raw = bytes.fromhex(recording.data)
    words = [int.from_bytes(raw[i : i + 2]) for i in range(0, len(raw), 2)]
    span = Span(profile.table, recording.address, len(words))
    image = RegisterImage()
    image.set(span, words)

    read = {
        register.key: decode(register, image)
        for register in profile.registers
        if image.has(register.span) and register.key in recording.values
    }

    assert read == pytest.approx(recording.values, rel=1e-7)


def test_the_marker_of_the_same_manual_is_not_available() -> None:
    profile = LIBRARY.load("abb_b23")
    image = RegisterImage()
    image.set(Span(Table.HOLDING, 0x5190, 16), [0xFFFF] * 16)
    for register in profile.registers:
        if register.key.startswith("energy_export_t"):
            assert decode(register, image) is None


def test_a_word_of_signs_serves_three_phases() -> None:
    # JSY-MK-333 manual: bits 0 to 2 of 0x0132 are the directions of the phases, 1 is reverse.
    profile = LIBRARY.load("jsy_mk-333")
    image = RegisterImage()
    image.set(Span(Table.HOLDING, 0x0106, 3), [100, 200, 300])
    image.set(Span(Table.HOLDING, 0x0132, 1), [0b101])

    powers = [profile.register(f"power_l{phase}") for phase in (1, 2, 3)]

    assert [decode(power, image) for power in powers if power] == [-100, 200, -300]
