"""Raw registers for those who know them: reading and writing spans of the four tables."""

from collections.abc import Sequence

from modbus_connection import ModbusUnit

from .profile import Span, Table


async def read_span(span: Span, unit: ModbusUnit) -> list[int]:
    """Read registers, or coils as 0 and 1, with one request.

    Raises:
        ModbusError: the meter refused, or the link is down.
        TimeoutError: no answer.
    """
    match span.table:
        case Table.HOLDING:
            return await unit.read_holding_registers(span.address, span.count)
        case Table.INPUT:
            return await unit.read_input_registers(span.address, span.count)
        case Table.COIL:
            return [int(bit) for bit in await unit.read_coils(span.address, span.count)]
        case Table.DISCRETE:
            return [int(bit) for bit in await unit.read_discrete_inputs(span.address, span.count)]


async def write_span(
    table: Table, address: int, values: Sequence[int], multiple: bool, unit: ModbusUnit
) -> None:
    """Write registers, or coils, with one request.

    Args:
        table: holding or coil.
        address: the first one, zero-based.
        values: raw values; for coils 0 and 1.
        multiple: whether the function for several is used even for one.
        unit: whom to write to.

    Raises:
        ModbusError: the meter refused, or the link is down.
        TimeoutError: no answer.
    """
    if table is Table.COIL:
        bits = [bool(value) for value in values]
        if multiple or len(bits) > 1:
            await unit.write_coils(address, bits)
        else:
            await unit.write_coil(address, bits[0])
    elif multiple or len(values) > 1:
        await unit.write_registers(address, list(values))
    else:
        await unit.write_register(address, values[0])
