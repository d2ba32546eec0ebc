"""Numbers as whole millionths.

An ESP32's floats have 24 bits: 12345.678 kWh would lose its last digits in them. Every measured value is therefore
an integer of micro-units (227.5 V is 227500000), read from the digits of the message and written back as digits.
"""

MICRO = 1_000_000
_LIMIT = 10**18
"""Millionths; a million million is more than any meter shows."""


def micro(text):
    """The value of a decimal number, in millionths, rounded to the nearest.

    Raises ValueError for what is no number, and for one too large to be a measurement.
    """
    mantissa, mark, exponent = text.lower().partition("e")
    shift = 6 + (int(exponent) if mark else 0)
    if not -30 <= shift <= 30:
        raise ValueError(text)
    negative = mantissa.startswith("-")
    if negative or mantissa.startswith("+"):
        mantissa = mantissa[1:]
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    if not digits.isdigit() or len(digits) > 40:
        raise ValueError(text)
    shift -= len(fraction)
    value = int(digits)
    if shift >= 0:
        value *= 10**shift
    else:
        unit = 10**-shift
        value = (value + unit // 2) // unit
    if value > _LIMIT:
        raise ValueError(text)
    return -value if negative else value


def decimal(value):
    """The shortest decimal number of so many millionths: 227500000 is 227.5."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), MICRO)
    if not rest:
        return sign + str(whole)
    return "%s%d.%s" % (sign, whole, ("%06d" % rest).rstrip("0"))
