"""Numbers and lines."""

import random

from energy_meter import lines, mac, names
from energy_meter.clock import Clock
from energy_meter.crc import crc16, with_crc
from energy_meter.decimals import decimal, micro


def digits_come_back_as_they_were():
    for text in ("0", "227.5", "-1.25", "12345.678", "0.000001", "999999999.999999", "-0.5", "1"):
        assert decimal(micro(text)) == text, text


def exponents_and_rounding_are_understood():
    assert micro("1.5e3") == 1500 * 10**6
    assert micro("2E-3") == 2000
    assert micro("0.0000005") == 1
    assert micro("-0.0000004") == 0
    assert micro(".5") == 500000


def what_is_no_number_is_refused():
    for text in ("", "-", ".", "1.2.3", "1e99", "--1", "1-", "0x10", "nan", "inf", "1e", "9" * 30):
        try:
            micro(text)
        except ValueError:
            continue
        raise AssertionError(text)


def random_decimals_survive():
    random.seed(1)
    for _ in range(2000):
        value = random.randint(-(10**14), 10**14)
        assert micro(decimal(value)) == value


def fractions_keep_their_digits():
    found = lines.message(b'{"energy": 12345.678, "V": 230, "a":-1.5e-3,"t":"3.5"}')
    assert lines.number(found["energy"]) == 12345678000
    assert lines.number(found["V"]) == 230 * 10**6
    assert lines.number(found["a"]) == -1500
    assert _refused(found["t"])
    assert lines.floats(found)["energy"] == 12345.678


def text_and_booleans_are_no_numbers():
    found = lines.message(b'{"a": true, "b": "1", "c": null, "d": [1], "e": {"f": 1}}')
    assert lines.number(found["c"]) is None
    for key in "abde":
        assert _refused(found[key]), key


def ugly_lines_cost_a_bad_line_and_nothing_else():
    for line in (
        b"{",
        b"}",
        b'{"a":1',
        b'"a":1}',
        b"[1]",
        b"{]}",
        b'{"a":' + b"[" * 7 + b"]" * 7 + b"}",
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"\xff\xfe{}",
        b'{"a":"\xff"}',
        b'{"a":"\x011.5"}',
        b'{"a":NaN}',
        b"{'a':1}",
        b"",
    ):
        try:
            lines.message(line)
        except lines.BadLine:
            continue
        raise AssertionError(line)


def random_bytes_never_do_anything_else():
    random.seed(2)
    pieces = (
        b"{",
        b"}",
        b'"',
        b"1.5",
        b"-",
        b"e",
        b":",
        b",",
        b"[",
        b"]",
        b"\\",
        b"null",
        b"\x80",
        b"V",
    )
    for _ in range(3000):
        line = b"{" + b"".join(random.choice(pieces) for _ in range(random.randint(0, 14))) + b"}"
        try:
            found = lines.message(line)
        except lines.BadLine:
            continue
        for value in found.values():
            try:
                lines.number(value)
            except ValueError:
                pass


def chunks_of_any_size_give_the_same_lines():
    text = b'{"a":1}\r\n\n{"b":2}\n{"c":3}\n'
    for size in range(1, len(text) + 1):
        cut = lines.Lines(64)
        found = []
        for start in range(0, len(text), size):
            found += cut.feed(text[start : start + size])
        assert found == [b'{"a":1}', b'{"b":2}', b'{"c":3}'], size


def a_line_that_is_too_long_is_left_out_and_the_next_one_taken():
    cut = lines.Lines(16)
    assert cut.feed(b"x" * 100) == []
    assert cut.feed(b'x\n{"a":1}\n') == [b'{"a":1}']
    assert cut.overlong == 1


def the_rest_of_a_line_before_we_listened_is_skipped():
    cut = lines.Lines(64)
    cut.skip_first()
    assert cut.feed(b'.5}\n{"a":1}\n') == [b'{"a":1}']


def the_crc_is_that_of_the_protocol():
    line = b'{"Voltage": 227.5, "Current": 1.42}'
    assert with_crc(line) == line + b"*34EE"
    assert crc16(b"123456789") == 0x4B37


def once_a_crc_has_come_lines_without_are_refused():
    gate = lines.CrcGate()
    assert gate.opened(b'{"a":1}') == b'{"a":1}'
    assert gate.opened(with_crc(b'{"a":1}')) == b'{"a":1}'
    for line in (b'{"a":1}', b'{"a":2}*0000', b'{"a":1}*zzzz'):
        try:
            gate.opened(line)
        except lines.BadLine:
            continue
        raise AssertionError(line)


def the_names_of_the_protocol_mean_what_they_say():
    for name, meaning in (
        ("Voltage", ("voltage", 1, 1)),
        ("V_RMS", ("voltage", 1, 1)),
        ("mV", ("voltage", 1, 1000)),
        ("Current I", ("current", 1, 1)),
        ("Power-kW", ("power", 1000, 1)),
        ("Power_L1_W", ("power_l1", 1, 1)),
        ("power_w_l1", ("power_l1", 1, 1)),
        ("voltage_l2", ("voltage_l2", 1, 1)),
        ("v_l2", ("voltage_l2", 1, 1)),
        ("i3", ("current_l3", 1, 1)),
        ("p1", ("power_l1", 1, 1)),
        ("joules", ("energy_import", 1, 3600000)),
        ("energy_import_t1", ("energy_import_t1", 1, 1)),
        ("thd_voltage_l1", ("thd_voltage_l1", 1, 1)),
    ):
        assert names.meaning(name) == meaning, name
    assert names.meaning("nä") is None
    assert names.meaning("") is None


def hmac_is_that_of_rfc_4231():
    digest = mac.hexadecimal(mac.hmac(b"Jefe", b"what do ya want ", b"for nothing?"))
    assert digest == b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def keys_are_read_however_they_are_typed():
    key = mac.new_key()
    assert len(key) == 20
    assert mac.normalised(mac.grouped(key).lower()) == key
    assert mac.normalised(" ".join(key)) == key
    for wrong in ("", key[:-1], key + "A", "O" * 20, "1" * 20):
        assert mac.normalised(wrong) is None


def time_goes_on_when_the_tick_counter_wraps():
    period = 1 << 30
    now = [period - 500]
    clock = Clock(lambda: now[0], lambda a, b: (a - b + period // 2) % period - period // 2)
    now[0] = 200
    assert clock.ms() == 700
    for _ in range(40):
        now[0] = (now[0] + period // 3) % period
        clock.ms()
    assert clock.ms() == 700 + 40 * (period // 3)


def _refused(value):
    try:
        lines.number(value)
    except ValueError:
        return True
    return False
