"""What a profile is to everything above the line."""

from custom_components.energy_meter.model import QUANTITIES, Counts
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.shape import shape_of

LIBRARY = ProfileLibrary()


def test_a_shape_has_all_that_the_profile_measures_and_offers() -> None:
    for profile in LIBRARY.load_all().values():
        shape = shape_of(profile)
        assert shape.measured == tuple(register.key for register in profile.registers)
        assert (shape.manufacturer, shape.model) == (profile.manufacturer, profile.model)
        offered = [each.control.key for each in profile.controls if each.exposed]
        assert [control.key for control in shape.controls] == offered


def test_a_counter_moves_as_the_profile_says_where_that_differs_from_the_vocabulary() -> None:
    different = [
        (shape_of(profile), register)
        for profile in LIBRARY.load_all().values()
        for register in profile.registers
        if register.counts is not None
    ]
    assert different
    for shape, register in different:
        assert shape.moves(QUANTITIES[register.key]) is register.counts
    plain = shape_of(LIBRARY.load("eastron_sdm120m"))
    assert plain.moves(QUANTITIES["energy_import"]) is Counts.UP
    assert plain.moves(QUANTITIES["power"]) is None


def test_the_digit_is_known_of_whole_numbers_only() -> None:
    for profile in LIBRARY.load_all().values():
        for key, digit in shape_of(profile).resolution.items():
            register = profile.register(key)
            assert register is not None
            assert digit == register.scale > 0
            assert not register.type.startswith("float")
