"""The generated documents are those of the profiles, and the worked example works."""

from pathlib import Path
import re

from custom_components.energy_meter.sources.modbus.codec import RegisterImage, decode
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.profile import Span, Table
from custom_components.energy_meter.sources.modbus.profile_loader import load_profile
from scripts.meters_doc import METERS, PROFILES, meters_document, profiles_document

ROOT = Path(__file__).parents[3]


def test_the_list_of_meters_is_up_to_date() -> None:
    assert METERS.read_text(encoding="utf-8") == meters_document(), "run scripts/meters_doc"


def test_the_lists_for_profile_writers_are_up_to_date() -> None:
    text = PROFILES.read_text(encoding="utf-8")

    assert text == profiles_document(text), "run scripts/meters_doc"


def test_every_profile_and_quirk_is_listed() -> None:
    text = METERS.read_text(encoding="utf-8")

    for profile in ProfileLibrary().load_all().values():
        assert f"`{profile.slug}`" in text
        for quirk in profile.quirks:
            assert f"- {quirk}\n" in text


def test_links_inside_the_list_lead_somewhere() -> None:
    text = METERS.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line[4:].lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("### ")
    }
    links = re.findall(r"\]\(#([^)]+)\)", text)

    assert len(links) >= 115
    assert set(links) <= headings


def test_the_worked_example_reads_the_meter_of_its_manual() -> None:
    text = PROFILES.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(manufacturer: Acme.*?)```", text, re.DOTALL)
    assert example is not None
    profile = load_profile(example[1], slug="acme_m1", source="docs/profiles.md")
    image = RegisterImage()
    image.set(
        Span(Table.INPUT, 0, 14),
        [2301, 0, 4930, 0xFFFF, 0xD2F0, 4998, 0, 0, 0, 0, 0, 6075, 0, 1267],
    )

    assert {register.key: decode(register, image) for register in profile.registers} == {
        "voltage": 230.1,
        "current": 4.93,
        "power": -1153.6,
        "frequency": 49.98,
        "energy_import": 60.75,
        "energy_export": 12.67,
    }


def test_the_other_examples_are_sound() -> None:
    text = PROFILES.read_text(encoding="utf-8")
    factors = re.search(r"```yaml\n(factors:.*?)```", text, re.DOTALL)
    assert factors is not None
    head = "manufacturer: A\nmodel: B\nphases: 1\nmodbus: {table: holding}\n"

    profile = load_profile(head + factors[1], slug="example", source="docs/profiles.md")

    assert profile.registers[0].factor is not None


def test_every_key_of_a_profile_is_explained() -> None:
    text = PROFILES.read_text(encoding="utf-8")
    source = (ROOT / "custom_components/energy_meter/sources/modbus/profile_loader.py").read_text(
        encoding="utf-8"
    )
    keys = set(re.findall(r'^ {4,8}"([a-z_]+)": (?:_|\()', source, re.MULTILINE))

    assert len(keys) > 40
    missing = {key for key in keys if f"`{key}`" not in text and f"`{key}:" not in text}
    assert missing <= {
        "count",
        "mask",
        "low_byte_range",
        "formula",
        "sources",
        "models",
        "function",
    }
    for key in missing:
        assert key in text, key
