"""Energy: whole numbers, calibration, and counters that survive power cuts."""

import random
import struct

from energy_meter import numbering, sleep
from energy_meter.decimals import MICRO, micro
from energy_meter.meter import Meter
from energy_meter.totals import EVERY_MS, EVERY_MWH, MAX_METERS, Totals
from esp32 import NVS
import power


def _meter(**settings):
    return Meter("m", settings, [0, 0])


def _values(**given):
    return {key: None if value is None else micro(str(value)) for key, value in given.items()}


def a_day_at_constant_power_counts_to_the_milliwatt_hour():
    meter = _meter()
    values = _values(power="1234.5")
    for second in range(0, 86_401, 5):
        meter.show(values, (), second * 1000)
    assert meter.total == [1234500 * 24, 0]


def nothing_is_lost_beside_a_large_total():
    meter = _meter()
    meter.total[0] = 300_000_000_000  # 300 MWh: a 24-bit float would count in steps of 16 Wh.
    for second in range(3601):
        meter.show(_values(power="0.5"), (), second * 1000)
    assert meter.total[0] == 300_000_000_000 + 500


def a_float_of_24_bits_would_not_do():
    def rounded(value):
        return struct.unpack("f", struct.pack("f", value))[0]

    total = rounded(300_000.0)
    for _ in range(1000):
        total = rounded(total + rounded(0.001))
    assert total == 300_000.0


def random_powers_count_like_exact_fractions():
    random.seed(5)
    meter = _meter()
    exact = [0, 0]
    at, before = 0, None
    for _ in range(5000):
        milliwatts = random.randint(-5_000_000, 5_000_000)
        step = random.randint(200, 3000)
        at += step
        meter.show({"power": milliwatts * 1000}, (), at)
        if before is not None:
            for way, sign in ((0, 1), (1, -1)):
                exact[way] += (max(0, sign * before) + max(0, sign * milliwatts)) * step
        before = milliwatts
    for way in (0, 1):
        assert meter.total[way] == exact[way] // 7_200_000


def a_silence_is_not_counted():
    meter = _meter()
    meter.show(_values(power=1000), (), 0)
    meter.show(_values(power=1000), (), 10_001)
    assert meter.total == [0, 0]
    meter.show(_values(power=1000), (), 13_601)
    assert meter.total == [1000, 0]


def neither_time_that_stands_still_nor_an_old_reading_counts():
    meter = _meter()
    meter.show(_values(power=1000), (), 5000)
    meter.show(_values(power=1000), (), 5000)
    meter.show(_values(power=9000), (), 1000)
    meter.show(_values(power=9000), (), None)
    meter.show(_values(power=1000), (), 8600)
    assert meter.total == [1000, 0]


def a_counter_of_the_board_is_passed_on_as_it_is():
    meter = _meter()
    meter.show(_values(power=1000, energy_import="12345.678"), (), 0)
    meter.show(_values(power=1000, energy_import="12345.679"), (), 3600)
    assert dict(meter.latest)["energy_import"] == 12345679000
    assert meter.total == [0, 0] and not meter.keeps_count


def volts_and_amperes_count_only_with_a_power_factor():
    meter = _meter()
    meter.show(_values(voltage=230, current=10), (), 0)
    meter.show(_values(voltage=230, current=10), (), 3600)
    assert "power" not in dict(meter.latest) and not meter.keeps_count
    meter.set_up({"power_factor": 0.9})
    meter.show(_values(voltage=230, current=10), (), 7200)
    assert dict(meter.latest)["power"] == 2070 * MICRO
    meter.show(_values(voltage=230, current=10), (), 10_800)
    assert meter.total == [2070, 0]
    meter.show(_values(voltage=230, current=10, power_factor="0.5"), (), 14_400)
    assert dict(meter.latest)["power"] == 1150 * MICRO


def calibration_changes_what_it_says():
    meter = _meter(voltage_gain=1.01, voltage_offset=-0.5, current_gain=0.98, current_offset=0.05)
    meter.show(_values(voltage=200, current=10, power=1000, frequency=50), (), 0)
    shown = dict(meter.latest)
    assert shown["voltage"] == micro("201.5")
    assert shown["current"] == micro("9.85")
    assert shown["power"] == micro("989.8")
    assert shown["frequency"] == 50 * MICRO


def ghost_amperes_within_the_dead_band_are_nothing():
    meter = _meter(dead_band=0.1)
    meter.show(_values(voltage=230, current="0.09", power=18, apparent_power="20.7"), (), 0)
    assert dict(meter.latest) == _values(
        voltage=230, current=0, power=0, apparent_power=0, energy_import=0
    )
    meter.show(_values(voltage=230, current="0.1", power=18), (), 1000)
    assert dict(meter.latest)["power"] == 18 * MICRO
    meter.show(_values(current_l1="0.05", power_l1=11, current_l2=3, power_l2=690), (), 2000)
    shown = dict(meter.latest)
    assert (shown["power_l1"], shown["power_l2"]) == (0, 690 * MICRO)


def missing_values_stay_missing():
    meter = _meter(dead_band=0.1, power_factor=1)
    meter.show(_values(voltage=None, current=1), (), 0)
    assert dict(meter.latest) == {"voltage": None, "current": MICRO}


def a_board_that_invents_quantities_is_bounded():
    meter = _meter()
    for number in range(100):
        meter.show({"thing_%d" % number: 1}, (), number)
    assert len(meter.quantities) == 24
    assert len(meter.latest) == 0


def counters_come_back_after_a_restart():
    totals = Totals(NVS("t"))
    totals.of("a")[0] = 123
    totals.of("b")[1] = 456 << 33
    totals.save(0)
    again = Totals(NVS("t"))
    assert again.of("a") == [123, 0] and again.of("b") == [0, 456 << 33]


def they_are_written_each_minute_or_each_ten_watt_hours():
    totals = Totals(NVS("t"))
    row = totals.of("a")
    assert not totals.due(10**6)
    row[0] += 1
    assert totals.due(EVERY_MS) and not totals.due(EVERY_MS - 1)
    row[0] += EVERY_MWH - 1
    assert totals.due(0)
    totals.save(0)
    assert not totals.due(10**6)
    writes = NVS.writes
    totals.save(0)
    assert NVS.writes == writes


def a_power_cut_at_every_write_neither_loses_nor_doubles():
    for cut in range(16):
        name = "cut%d" % cut
        power.cut_after(cut)
        counted = saved = 0
        totals = Totals(NVS(name))
        row = totals.of("a")
        try:
            for second in range(0, 3600, 10):
                row[0] += 5000 - second
                counted += 5000 - second
                if totals.due(second * 1000):
                    totals.save(second * 1000)
                    saved = counted
        except power.Cut:
            pass
        power.cut_after(10**9)
        found = Totals(NVS(name)).of("a")[0]
        assert saved <= found <= counted, (cut, saved, found, counted)
        assert counted - found <= EVERY_MWH + 5000, (cut, counted - found)


def power_cuts_in_a_row_are_survived():
    random.seed(6)
    truth = 0
    lost = 0
    for _ in range(60):
        totals = Totals(NVS("row"))
        row = totals.of("a")
        assert truth - lost <= row[0] <= truth
        lost = truth - row[0]
        power.cut_after(random.randint(0, 7))
        try:
            for second in range(1000):
                row[0] += 300
                truth += 300
                if totals.due(second * 1000):
                    totals.save(second * 1000)
        except power.Cut:
            pass
        power.cut_after(10**9)
        lost += EVERY_MWH + 300


def a_damaged_record_gives_way_to_the_older():
    totals = Totals(NVS("t"))
    for value in (100, 200):
        totals.of("a")[0] = value
        totals.save(0)
    store = NVS("t")
    for name in ("t0", "t1"):
        buffer = bytearray(400)
        size = store.get_blob(name, buffer)
        kept = bytes(buffer[:size])
        for at in range(size):
            broken = bytearray(kept)
            broken[at] ^= 1
            store.set_blob(name, broken)
            assert Totals(store).of("a")[0] in (100, 200)
        store.set_blob(name, kept)
    assert Totals(store).of("a")[0] == 200


def a_store_that_fails_is_counted_and_tried_again():
    class Failing(NVS):
        broken = True

        def set_blob(self, key, blob):
            if Failing.broken:
                raise OSError(-0x1105)
            super().set_blob(key, blob)

    totals = Totals(Failing("t"))
    totals.of("a")[0] = 5
    totals.save(0)
    assert totals.errors == 1 and totals.due(EVERY_MS)
    Failing.broken = False
    totals.save(EVERY_MS)
    assert Totals(NVS("t")).of("a")[0] == 5


def too_many_meters_take_the_place_of_those_that_are_gone():
    totals = Totals(NVS("t"))
    for number in range(MAX_METERS):
        totals.of("old%d" % number)[0] = 1
    assert totals.of("one too many") is None
    totals.save(0)
    totals = Totals(NVS("t"))
    assert totals.of("old3") == [1, 0]
    for number in range(MAX_METERS - 1):
        assert totals.of("new%d" % number) == [0, 0]
    assert totals.of("old3") == [1, 0]
    assert totals.of("one too many") is None


def starts_rise_for_ever_even_if_one_memory_is_lost():
    import os

    seen = [numbering.next_boot(NVS("n")) for _ in range(3)]
    os.remove("data/boot")
    seen.append(numbering.next_boot(NVS("n")))
    os.remove("nvs.json")
    seen.append(numbering.next_boot(NVS("n")))
    with open("data/boot", "w") as file:
        file.write("rubbish")
    seen.append(numbering.next_boot(NVS("n")))
    assert seen == [1, 2, 3, 4, 5, 6]


def no_start_has_the_number_of_another_whatever_is_cut():
    seen = []
    for cut in (0, 1, 2, 3, 0, 1, 9):
        power.cut_after(cut)
        try:
            seen.append(numbering.next_boot(NVS("n")))
        except power.Cut:
            pass
    power.cut_after(10**9)
    assert len(set(seen)) == len(seen) and seen == sorted(seen)


def only_what_no_power_cut_can_take_is_shown():
    totals = Totals(NVS("t"))
    meter = Meter("a", {}, totals.of("a"), lambda: totals.kept("a"))
    shown = []
    for second in range(200):
        meter.show(_values(power=3600), (), second * 1000)  # 1 Wh a second.
        if totals.due(second * 1000):
            totals.save(second * 1000)
        shown.append(dict(meter.latest)["energy_import"])
        again = Totals(NVS("t")).of("a")[0] if second % 20 == 0 else shown[-1]
        assert again >= shown[-1], "it would fall"
    assert shown == sorted(shown) and shown[-1] >= 189_000


def a_store_that_fails_does_not_stop_the_counter():
    class Failing(NVS):
        def set_blob(self, key, blob):
            raise OSError(-0x1105)

    totals = Totals(Failing("t"))
    totals.of("a")[0] = 20_000
    totals.save(0)
    assert totals.kept("a") == (20_000, 0)


def what_is_remembered_over_a_sleep_is_whole_or_nothing():
    memory = sleep.pack(17, 1042, 123_456_789_012, 9)
    assert sleep.unpack(memory) == (17, 1042, 123_456_789_012, 9)
    assert sleep.unpack(memory + b"left over") == sleep.unpack(memory)
    for at in range(len(memory)):
        broken = bytearray(memory)
        broken[at] ^= 1
        assert sleep.unpack(bytes(broken)) is None
        assert sleep.unpack(memory[:at]) is None
