"""Registers into values and back.

Every value that is polled goes through `decode`, so what a register's description says is worked out once,
as a chain of small functions kept in `Register.codecs`, and not looked at again.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
import math
import struct
from typing import Final, Literal, cast

from ...model import Value
from .profile import Factor, Formula, Order, Register, RegisterType, Sign, Span, Table

type _Words = dict[int, int]
type _Decoder = Callable[[RegisterImage], Value | str]

EXPONENT_LIMIT: Final = 10
"""SunSpec and Iskra exponents stay within ±10; anything else is noise or "not implemented"."""

_BITS: Final = {
    RegisterType.UINT8: 8,
    RegisterType.UINT16: 16,
    RegisterType.INT16: 16,
    RegisterType.UINT32: 32,
    RegisterType.INT32: 32,
    RegisterType.UINT64: 64,
    RegisterType.INT64: 64,
    RegisterType.T16: 16,
    RegisterType.T17: 16,
}
_SIGNED: Final = {RegisterType.INT16, RegisterType.INT32, RegisterType.INT64, RegisterType.T17}
_FLOATS: Final = {
    RegisterType.FLOAT32: struct.Struct(">f"),
    RegisterType.FLOAT64: struct.Struct(">d"),
}
_UNSIGNED: Final = {
    RegisterType.FLOAT32: struct.Struct(">I"),
    RegisterType.FLOAT64: struct.Struct(">Q"),
}
_BCD_DIGITS: Final = {RegisterType.BCD16: 4, RegisterType.BCD32: 8, RegisterType.BCD64: 16}
_TWO_DECIMALS: Final = {RegisterType.T16, RegisterType.T17}
_MANTISSA_BITS: Final = 24

REGISTERS: Final = {
    RegisterType.UINT8: 1,
    RegisterType.UINT16: 1,
    RegisterType.INT16: 1,
    RegisterType.UINT32: 2,
    RegisterType.INT32: 2,
    RegisterType.UINT64: 4,
    RegisterType.INT64: 4,
    RegisterType.FLOAT32: 2,
    RegisterType.FLOAT64: 4,
    RegisterType.BCD16: 1,
    RegisterType.BCD32: 2,
    RegisterType.BCD64: 4,
    RegisterType.BIT: 1,
    RegisterType.T5: 2,
    RegisterType.T6: 2,
    RegisterType.T7: 2,
    RegisterType.T16: 1,
    RegisterType.T17: 1,
}
"""How many registers each type takes; a string says so itself."""

FULL_SCALE: Final = {
    "V": 650,
    "A": 320,
    "W": 32_000,
    "VA": 32_000,
    "var": 32_000,
    "Hz": 65,
    "kWh": 1_000_000,
    "kvarh": 1_000_000,
    "kVAh": 1_000_000,
    "°": 360,
    "°C": 125,
    "%": 100,
    "Ah": 1_000_000,
    "h": 1_000_000,
    None: 1,
}
"""The largest value `encode` makes room for when it has to choose a factor itself."""


class MissingRegisters(LookupError):
    """A value needs registers that are not in the image."""

    def __init__(self, span: Span) -> None:
        """Keep the span that is missing."""
        super().__init__(f"{span.table} {span.address} to {span.end - 1} not read")
        self.span = span


class RegisterImage:
    """A meter's registers as last read: words by table and address."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._tables: dict[Table, _Words] = {table: {} for table in Table}

    def set(self, span: Span, words: Sequence[int]) -> None:
        """Take what was read; coils and discrete inputs are 0 or 1.

        Raises:
            ValueError: the number of words is not the span's.
        """
        if len(words) != span.count:
            raise ValueError(f"{len(words)} words for {span.count} registers")
        self._tables[span.table].update(zip(range(span.address, span.end), words, strict=True))

    def has(self, span: Span) -> bool:
        """Return whether every register of the span was read."""
        words = self._tables[span.table]
        return all(address in words for address in range(span.address, span.end))

    def get(self, span: Span) -> list[int]:
        """Return the words of a span.

        Raises:
            MissingRegisters: not all of it was read.
        """
        words = self._tables[span.table]
        try:
            return [words[address] for address in range(span.address, span.end)]
        except KeyError:
            raise MissingRegisters(span) from None

    def forget(self, span: Span) -> None:
        """Drop a span, read or not."""
        words = self._tables[span.table]
        for address in range(span.address, span.end):
            words.pop(address, None)

    def table(self, table: Table) -> _Words:
        """Return the words of one table by address, the image's own."""
        return self._tables[table]


def _swapped(word: int) -> int:
    return (word >> 8) | ((word & 0xFF) << 8)


def _whole(register: Register, order: Order) -> Callable[[RegisterImage], int]:
    """Return a function that reads the registers as one unsigned integer, most significant word first."""
    span = register.span
    table, address = span.table, span.address
    little_bytes = register.byte_order == "little"
    if span.count == 1 and not little_bytes:

        def one(image: RegisterImage) -> int:
            try:
                return image.table(table)[address]
            except KeyError:
                raise MissingRegisters(span) from None

        return one
    if span.count == 2 and not little_bytes:
        high, low = (address, address + 1) if order == "big" else (address + 1, address)

        def two(image: RegisterImage) -> int:
            words = image.table(table)
            try:
                return words[high] << 16 | words[low]
            except KeyError:
                raise MissingRegisters(span) from None

        return two
    addresses = range(address, span.end) if order == "big" else range(span.end - 1, address - 1, -1)

    def many(image: RegisterImage) -> int:
        words = image.table(table)
        whole = 0
        try:
            for each in addresses:
                word = words[each]
                whole = whole << 16 | (_swapped(word) if little_bytes else word)
        except KeyError:
            raise MissingRegisters(span) from None
        return whole

    return many


def _signed(whole: int, bits: int) -> int:
    return whole - (1 << bits) if whole >> (bits - 1) else whole


def _bcd(whole: int, digits: int) -> int | None:
    value = 0
    for place in range(digits - 1, -1, -1):
        digit = whole >> (4 * place) & 0xF
        if digit > 9:
            return None
        value = value * 10 + digit
    return value


def _decade(mantissa: int, exponent: int) -> float | int | None:
    if not -EXPONENT_LIMIT <= exponent <= EXPONENT_LIMIT:
        return None
    power = cast("int", 10 ** abs(exponent))
    return mantissa * power if exponent >= 0 else mantissa / power


def _iskra(kind: RegisterType, whole: int) -> float | int | None:
    """Iskra's own formats, "MODBUS communication protocol", data types T5, T6 and T7."""
    if kind is RegisterType.T7:
        size = (whole & 0xFFFF) / 10_000
        return -size if whole >> 24 else size
    mantissa = whole & (1 << _MANTISSA_BITS) - 1
    if kind is RegisterType.T6:
        mantissa = _signed(mantissa, _MANTISSA_BITS)
    return _decade(mantissa, _signed(whole >> _MANTISSA_BITS, 8))


def _text(words: Iterable[int], byte_order: Order) -> str | None:
    """Two characters per register; fillers (NUL, 0xFF) and what cannot be printed are dropped."""
    raw = b"".join(word.to_bytes(2, byte_order) for word in words)
    text = raw.replace(b"\xff", b"").decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip() or None


def _number_of(register: Register) -> Callable[[int], float | int | None]:
    """Return a function from the unsigned whole to the raw number; None where it is not one."""
    kind = register.type
    if kind in _FLOATS:
        unsigned, floating = _UNSIGNED[kind], _FLOATS[kind]

        def real(whole: int) -> float | None:
            value = cast("float", floating.unpack(unsigned.pack(whole))[0])
            return value if math.isfinite(value) else None

        return real
    if kind in _BCD_DIGITS:
        digits = _BCD_DIGITS[kind]
        return lambda whole: _bcd(whole, digits)
    if kind in {RegisterType.T5, RegisterType.T6, RegisterType.T7}:
        return lambda whole: _iskra(kind, whole)
    if kind is RegisterType.BIT:
        return lambda whole: 1 if whole else 0
    bits = _BITS[kind]
    if kind is RegisterType.UINT8:
        shift = 8 if register.byte == "high" else 0
        return lambda whole: whole >> shift & 0xFF
    top = 1 << (bits - 1)
    if register.sign_magnitude:
        return lambda whole: -(whole ^ top) if whole & top else whole
    if kind in _SIGNED:
        return lambda whole: whole - (top << 1) if whole & top else whole
    return lambda whole: whole


def _fraction(register: Register) -> tuple[int, int]:
    """The scale as a ratio of integers, so that 2301 × 0.1 is 230.1 and not 230.10000000000002."""
    scale = Fraction(register.scale).limit_denominator(10**12)
    if register.type in _TWO_DECIMALS:
        scale /= 100
    return scale.numerator, scale.denominator


def _principal(value: Value) -> Value:
    """Schneider's four-quadrant power factor ("Power Factor Register Format" of the PM and iEM manuals)."""
    if value is None or -1 <= value <= 1:
        return value
    return (2 if value > 0 else -2) - value if -2 <= value <= 2 else None


def _plain(register: Register, order: Order) -> Callable[[RegisterImage], Value]:
    """Value × scale, without factor and sign."""
    whole_of, number_of = _whole(register, order), _number_of(register)
    numerator, denominator = _fraction(register)
    marks = register.invalid
    quadrants = register.quadrants
    shift = 8 if register.byte == "high" else 0
    half = register.type is RegisterType.UINT8

    def plain(image: RegisterImage) -> Value:
        whole = whole_of(image)
        if marks and (whole >> shift & 0xFF if half else whole) in marks:
            return None
        number = number_of(whole)
        if quadrants:
            number = _principal(number)
        if number is None or numerator == denominator:
            return number
        if denominator == 1:
            return number * numerator
        return number * numerator / denominator

    return plain


def _factor_of(
    factor: Factor, override: Order | None
) -> Callable[[RegisterImage], tuple[float, float] | None]:
    """Return a function that gives what to multiply by and what to divide by; None where not available."""
    plains = [_plain(source, override or source.word_order) for source in factor.sources]
    if factor.formula is Formula.RATIO:

        def ratio(image: RegisterImage) -> tuple[float, float] | None:
            product: float = 1
            for plain in plains:
                value = plain(image)
                if not value:  # A transformer ratio of zero is one that nobody has set.
                    return None
                product *= value
            return product, 1

        return ratio
    (plain,) = plains
    if factor.formula is Formula.POWER_OF_TEN:

        def power(image: RegisterImage) -> tuple[float, float] | None:
            exponent = plain(image)
            if exponent is None or not -EXPONENT_LIMIT <= exponent <= EXPONENT_LIMIT:
                return None
            exponent = int(exponent)
            return (10**exponent, 1) if exponent >= 0 else (1, 10**-exponent)

        return power
    table = {
        code: (fraction.numerator, fraction.denominator)
        for code, multiplier in factor.table.items()
        for fraction in (Fraction(multiplier).limit_denominator(10**12),)
    }

    def lookup(image: RegisterImage) -> tuple[float, float] | None:
        code = plain(image)
        return None if code is None or code != int(code) else table.get(int(code))

    return lookup


def _sign_of(sign: Sign) -> Callable[[RegisterImage], bool]:
    whole_of = _whole(sign.source, sign.source.word_order)
    mask = sign.mask
    return lambda image: bool(whole_of(image) & mask)


def _scaled(register: Register, override: Order | None) -> Callable[[RegisterImage], Value]:
    """Value × scale × factor, in one division so that decimals stay as the meter shows them."""
    order = override or register.word_order
    assert register.factor is not None
    whole_of, number_of = _whole(register, order), _number_of(register)
    factor_of = _factor_of(register.factor, override)
    numerator, denominator = _fraction(register)
    marks = register.invalid

    def scaled(image: RegisterImage) -> Value:
        whole = whole_of(image)
        factor = factor_of(image)
        if factor is None or whole in marks:
            return None
        number = number_of(whole)
        if number is None:
            return None
        value = number * numerator * factor[0]
        divisor = denominator * factor[1]
        return value if divisor == 1 else value / divisor

    return scaled


def _compile(register: Register, override: Order | None) -> _Decoder:
    if register.type is RegisterType.STRING:
        span, byte_order = register.span, register.byte_order
        return lambda image: _text(image.get(span), byte_order)
    order = override or register.word_order
    decoder = _scaled(register, override) if register.factor else _plain(register, order)
    if register.sign is None:
        return decoder
    negative = _sign_of(register.sign)

    def signed(image: RegisterImage) -> Value:
        value, minus = decoder(image), negative(image)
        return -value if minus and value else value

    return signed


def decode(
    register: Register, image: RegisterImage, *, word_order: Order | None = None
) -> Value | str:
    """Return the value in the register's unit, or its text.

    Args:
        register: what to decode.
        image: what was read.
        word_order: the order of a meter whose order was set up otherwise than the profile says.

    Returns:
        None where the meter marks the value as not available, for NaN and infinity, for digits that are
        none, and for a factor that is not available.

    Raises:
        MissingRegisters: the value, its factor or its sign was not read.
    """
    key = word_order or ""
    try:
        decoder = register.codecs[key]
    except KeyError:
        decoder = register.codecs[key] = _compile(register, word_order)
    return cast("Value | str", decoder(image))


def _limits(register: Register) -> tuple[int, int] | None:
    """Smallest and largest raw integer of the register; None for floats and text."""
    kind = register.type
    if kind in _BCD_DIGITS:
        return 0, 10 ** _BCD_DIGITS[kind] - 1
    if kind is RegisterType.BIT:
        return 0, 1
    if kind is RegisterType.T7:
        return -0xFFFF, 0xFFFF
    if kind not in _BITS:
        return None
    bits = _BITS[kind]
    if register.sign_magnitude:
        return 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1
    if kind in _SIGNED:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _iskra_whole(register: Register, number: Fraction) -> int:
    """Encode T5 or T6 with as many digits as 24 bits hold."""
    signed = register.type is RegisterType.T6
    largest = (1 << (_MANTISSA_BITS - 1)) - 1 if signed else (1 << _MANTISSA_BITS) - 1
    if number < 0 and not signed:
        raise ValueError(f"{register.key}: {float(number)} is negative")
    for exponent in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1):
        mantissa = round(number / Fraction(10) ** exponent)
        if abs(mantissa) <= largest:
            break
    else:
        raise ValueError(f"{register.key}: {float(number)} does not fit")
    return (exponent & 0xFF) << _MANTISSA_BITS | mantissa & (1 << _MANTISSA_BITS) - 1


def _whole_from(register: Register, number: Fraction) -> int:
    """The registers' unsigned whole for a raw number.

    Raises:
        ValueError: it does not fit.
    """
    kind = register.type
    if kind in _FLOATS:
        try:
            packed = _FLOATS[kind].pack(float(number))
        except OverflowError:
            raise ValueError(f"{register.key}: {float(number)} does not fit") from None
        return cast("int", _UNSIGNED[kind].unpack(packed)[0])
    if kind in {RegisterType.T5, RegisterType.T6}:
        return _iskra_whole(register, number)
    if kind is RegisterType.T7:
        number *= 10_000
    limits = _limits(register)
    assert limits is not None
    low, high = limits
    raw = round(number)
    if not low <= raw <= high:
        raise ValueError(f"{register.key}: {raw} is not within {low} to {high}")
    if kind in _BCD_DIGITS:
        return int(str(raw), 16)
    if kind is RegisterType.T7:
        return (0xFF00_0000 if raw < 0 else 0) | abs(raw)
    if kind is RegisterType.BIT:
        return raw
    if register.sign_magnitude:
        return abs(raw) | (1 << (_BITS[kind] - 1) if raw < 0 else 0)
    return raw & (1 << _BITS[kind]) - 1


def _split(register: Register, whole: int, order: Order) -> list[int]:
    count = register.span.count
    if count == 1:
        words = [whole]  # Of 32 bits where the meter's registers are that wide.
    else:
        words = [whole >> (16 * place) & 0xFFFF for place in range(count - 1, -1, -1)]
    if order == "little":
        words.reverse()
    return [_swapped(word) for word in words] if register.byte_order == "little" else words


def _text_words(register: Register, text: str) -> list[int]:
    room = register.span.count * 2
    raw = text.encode("latin-1", errors="replace")
    if len(raw) > room:
        raise ValueError(f"{register.key}: {len(raw)} characters, room for {room}")
    raw = raw.ljust(room, b"\0")
    return [int.from_bytes(raw[i : i + 2], register.byte_order) for i in range(0, room, 2)]


def _exact(value: float | str) -> Fraction:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a finite number")
    return Fraction(value) if isinstance(value, int) else Fraction(repr(number))


def words_of(
    register: Register, value: float | str, *, word_order: Order | None = None
) -> list[int]:
    """Return the words that stand for a value in the register's unit, its factor taken as one.

    The other half of a register that holds two bytes is zero; `encode` keeps it.

    Raises:
        ValueError: the value does not fit the register.
    """
    if register.type is RegisterType.STRING:
        return _text_words(register, str(value))
    numerator, denominator = _fraction(register)
    number = _exact(value) * denominator / numerator
    whole = _whole_from(register, abs(number) if register.sign else number)
    if register.byte == "high":
        whole <<= 8
    return _split(register, whole, word_order or register.word_order)


def _chosen_factor(register: Register, factor: Factor) -> Fraction:
    """A factor that leaves room for the largest value of the register's unit, as fine as that allows."""
    if factor.formula is Formula.RATIO:
        return Fraction(1)
    limits = _limits(register)
    unit = register.quantity.unit if register.quantity else None
    numerator, denominator = _fraction(register)
    need = Fraction(FULL_SCALE[unit]) * denominator / numerator
    if factor.formula is Formula.POWER_OF_TEN:
        choices = [Fraction(10) ** exponent for exponent in range(-3, EXPONENT_LIMIT + 1)]
        if limits is None:
            return Fraction(1)
    else:
        choices = sorted(Fraction(each).limit_denominator(10**12) for each in factor.table.values())
        if limits is None:
            return choices[0]
    return next((each for each in choices if each * limits[1] >= need), choices[-1])


def _write_factor(
    register: Register, factor: Factor, image: RegisterImage, override: Order | None
) -> None:
    chosen = _chosen_factor(register, factor)
    for source in factor.sources:
        if factor.formula is Formula.RATIO:
            code: float = 1
        elif factor.formula is Formula.POWER_OF_TEN:
            code = round(math.log10(chosen))
        else:
            code = next(
                code
                for code, each in factor.table.items()
                if Fraction(each).limit_denominator(10**12) == chosen
            )
        if not image.has(source.span):
            encode(source, code, image, word_order=override)


def encode(
    register: Register,
    value: float | str | None,
    image: RegisterImage,
    *,
    word_order: Order | None = None,
) -> None:
    """Write a value into an image as the meter would hold it; the exact reverse of `decode`.

    Factors that the image already has are respected; missing ones are chosen. None writes the mark for
    "not available", where the register has one, or NaN.

    Raises:
        ValueError: the value does not fit the register (with the factors that are there), or the register
            has no mark for "not available".
    """
    span = register.span
    order = word_order or register.word_order
    if value is None:
        words = _split(register, _mark(register), order)
    elif register.factor is None or isinstance(value, str):
        words = words_of(register, value, word_order=word_order)
    else:
        _write_factor(register, register.factor, image, word_order)
        multiple = _factor_of(register.factor, word_order)(image)
        if multiple is None:
            raise ValueError(f"{register.key}: the factor is not available")
        number = _exact(value) * _exact(multiple[1]) / _exact(multiple[0])
        numerator, denominator = _fraction(register)
        number = number * denominator / numerator
        whole = _whole_from(register, abs(number) if register.sign else number)
        words = _split(register, whole, order)
    if register.byte is not None and image.has(span):
        mine = _byte_mask(register)
        words = [image.get(span)[0] & (0xFFFF ^ mine) | words[0] & mine]
    image.set(span, words)
    if register.sign is not None:
        _write_sign(register.sign, image, negative=not isinstance(value, str) and (value or 0) < 0)


def _byte_mask(register: Register) -> Literal[0xFF00, 0x00FF]:
    """Where the half lies in the word as it is on the wire."""
    high = (register.byte == "high") == (register.byte_order == "big")
    return 0xFF00 if high else 0x00FF


def _mark(register: Register) -> int:
    if register.invalid:
        mark = min(register.invalid)
        return mark << 8 if register.byte == "high" else mark
    if register.type in _FLOATS:
        return cast(
            "int", _UNSIGNED[register.type].unpack(_FLOATS[register.type].pack(math.nan))[0]
        )
    raise ValueError(f"{register.key} has no mark for not available")


def _write_sign(sign: Sign, image: RegisterImage, *, negative: bool) -> None:
    source = sign.source
    whole = _whole(source, source.word_order)(image) if image.has(source.span) else 0
    bits = sign.mask & -sign.mask  # Where any of several bits will do, meters write a 1.
    whole = whole & ~sign.mask | (bits if negative else 0)
    image.set(source.span, _split(source, whole, source.word_order))
