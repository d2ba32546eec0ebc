"""The CRC of a line."""

from hypothesis import given, strategies as st

from custom_components.energy_meter.sources.bridge.crc import crc16, with_crc
from tests.support.bridge import crc16_modbus


def test_the_check_value_of_crc_16_modbus() -> None:
    assert crc16(b"123456789") == 0x4B37


def test_the_line_in_the_document() -> None:
    line = b'{"Voltage": 227.5, "Current": 1.42}'
    assert with_crc(line) == line + b"*34EE"


@given(st.binary(max_size=200))
def test_a_table_and_single_bits_give_the_same(data: bytes) -> None:
    assert crc16(data) == crc16_modbus(data)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_bit_changes_it(data: bytes, draw: st.DataObject) -> None:
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    assert crc16(bytes(changed)) != crc16(data)
