"""Built-in and custom profiles, found, shadowed, exported, and broken in every way."""

from pathlib import Path
import re
import time

import pytest

from custom_components.energy_meter.model import CONTROL_KEYS
from custom_components.energy_meter.sources.modbus.library import (
    BUILT_IN,
    ProfileLibrary,
    UnknownProfileError,
)
from custom_components.energy_meter.sources.modbus.profile import Profile
from custom_components.energy_meter.sources.modbus.profile_loader import ProfileError

CUSTOM = """\
manufacturer: Mine
model: M1
phases: 1
modbus: {table: input}
registers:
  - {key: power, address: 0, type: int16, unit: W}
"""

BUILT_IN_PROFILES = ProfileLibrary().load_all()


def write(directory: Path, name: str, text: str | bytes) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_all_families_are_there_without_a_mistake() -> None:
    library = ProfileLibrary()

    assert library.problems() == []
    assert len(library.load_all()) == len(list(BUILT_IN.glob("*.yaml"))) >= 115


def test_loading_all_is_quick() -> None:
    begin = time.process_time()
    ProfileLibrary().load_all()

    assert time.process_time() - begin < 1.5


def test_loading_one_takes_no_other() -> None:
    library = ProfileLibrary()
    begin = time.process_time()
    library.load("eastron_sdm630")

    assert time.process_time() - begin < 0.1


def test_names_are_what_a_picker_shows(tmp_path: Path) -> None:
    write(tmp_path, "mine.yaml", CUSTOM)
    names = ProfileLibrary(tmp_path).names()

    assert [name.name.casefold() for name in names] == sorted(
        name.name.casefold() for name in names
    )
    mine = next(name for name in names if name.slug == "mine")
    assert (mine.name, mine.custom, mine.phases, mine.transports) == ("Mine M1", True, 1, ("rtu",))
    sdm = next(name for name in names if name.slug == "eastron_sdm120m")
    assert (sdm.custom, sdm.confidence) == (False, "high")
    assert "SDM120CT" in sdm.aliases


def test_a_profile_is_read_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    path = write(tmp_path, "mine.yaml", CUSTOM)
    library = ProfileLibrary(tmp_path)
    first = library.load("mine")
    assert library.load("mine") is first

    path.write_text(CUSTOM.replace("M1", "Model 2"), encoding="utf-8")

    assert library.load("mine").model == "Model 2"


def test_a_custom_profile_takes_the_place_of_a_built_in_one(tmp_path: Path) -> None:
    write(tmp_path, "eastron_sdm120m.yaml", CUSTOM)
    library = ProfileLibrary(tmp_path)

    assert library.load("eastron_sdm120m").name == "Mine M1"
    assert [name.slug for name in library.names()].count("eastron_sdm120m") == 1


def test_a_broken_custom_profile_does_not_fall_back(tmp_path: Path) -> None:
    write(tmp_path, "eastron_sdm120m.yaml", CUSTOM.replace("int16", "int15"))
    library = ProfileLibrary(tmp_path)

    with pytest.raises(ProfileError, match="line 6"):
        library.load("eastron_sdm120m")
    assert "eastron_sdm120m" not in library.load_all()
    assert [problem.file for problem in library.problems()] == ["eastron_sdm120m.yaml"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfem\x00", "UTF-8"),
        ("manufacturer: ä".encode("latin-1"), "UTF-8"),
        (b"#" * 300_000, "256 KiB"),
        (b"", "expected a profile"),
    ],
)
def test_a_file_that_is_no_text_is_one_problem(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    write(tmp_path, "mine.yaml", content)

    (problem,) = ProfileLibrary(tmp_path).problems()

    assert problem.file == "mine.yaml"
    assert expected in problem.expected


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "mine.yaml", b"\xef\xbb\xbf" + CUSTOM.encode())

    assert ProfileLibrary(tmp_path).load("mine").model == "M1"


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").symlink_to(tmp_path / "gone.yaml")
    library = ProfileLibrary(tmp_path)

    (problem,) = library.problems()
    assert problem.expected.startswith("cannot be read")
    with pytest.raises(ProfileError):
        library.load("mine")


def test_a_directory_in_the_place_of_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").mkdir()

    assert len(ProfileLibrary(tmp_path).problems()) == 1


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "hello")
    write(tmp_path, "mine.yaml~", "broken")
    write(tmp_path, "mine.yml", CUSTOM)
    library = ProfileLibrary(tmp_path)

    assert library.problems() == []
    assert library.load("mine").custom


def test_without_a_directory_there_are_the_built_in_ones(tmp_path: Path) -> None:
    library = ProfileLibrary(tmp_path / "none")

    assert library.load_all().keys() == BUILT_IN_PROFILES.keys()
    with pytest.raises(UnknownProfileError):
        library.load("none")


@pytest.mark.parametrize("slug", ["../library", "/etc/passwd", "..", ""])
def test_a_name_never_leads_out_of_the_directories(slug: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownProfileError):
        ProfileLibrary(tmp_path).load(slug)


def test_an_export_is_a_working_start_for_a_profile(tmp_path: Path) -> None:
    library = ProfileLibrary(tmp_path / "profiles")

    path = library.export("eastron_sdm120m", tmp_path / "profiles")

    assert path == tmp_path / "profiles" / "eastron_sdm120m.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# A copy of the built-in profile eastron_sdm120m")
    assert "docs/profiles.md" in text
    mine = library.load("eastron_sdm120m")
    assert mine.custom
    assert mine.registers == BUILT_IN_PROFILES["eastron_sdm120m"].registers


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    library = ProfileLibrary(None)
    target = write(tmp_path, "own.yaml", "precious")

    with pytest.raises(FileExistsError):
        library.export("eastron_sdm120m", target)
    assert target.read_text(encoding="utf-8") == "precious"
    with pytest.raises(UnknownProfileError):
        library.export("none", tmp_path)


@pytest.mark.parametrize("profile", BUILT_IN_PROFILES.values(), ids=lambda profile: profile.slug)
def test_a_built_in_profile_is_fit_to_be_offered(profile: Profile) -> None:
    assert profile.sources, "every fact has its source"
    assert profile.confidence_note, "what the confidence rests on is said"
    if profile.confidence == "low":
        assert profile.quirks or profile.notes, "a doubtful map says what to check"
    exposed = [control for control in profile.controls if control.exposed]
    assert {control.control.key for control in exposed} <= CONTROL_KEYS
    for each in exposed:
        if each.control.key in {"unit_id", "baudrate", "parity", "ct_ratio", "measuring_system"}:
            assert each.control.guarded, f"{each.control.key} could lose the meter or its scale"
        assert each.control.key != "unit_id" or (each.control.maximum or 0) <= 247
    for note in profile.notes:
        assert not re.search(r"catalogue|strict_blocks|scale_from|[Ss]ee quirk", note), note
    for sentence in profile.quirks:
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".")
        assert len(sentence) <= 220
        assert not re.search(r"0x|mbmd|openWB|Tinkerforge|OpenEMS|evcc|register \d", sentence), (
            sentence
        )


def test_registers_can_be_kept_in_sets() -> None:
    registers = [one for profile in BUILT_IN_PROFILES.values() for one in profile.registers]

    assert {registers[0], registers[0]} == {registers[0]}
    assert len({profile.registers for profile in BUILT_IN_PROFILES.values()}) > 100


def test_every_control_key_is_used() -> None:
    used = {
        control.control.key
        for profile in BUILT_IN_PROFILES.values()
        for control in profile.controls
        if control.exposed
    }

    assert used == CONTROL_KEYS
