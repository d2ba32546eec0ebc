#include "number.h"

enum { MOST_EXPONENT = 99 };
static const uint32_t FULL = (UINT32_MAX - 9) / 10;

struct reader {
    const char *at, *end;
};

static bool digit(const struct reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* Digits go into the mantissa while they fit; those that do not only count. */
struct decimal {
    uint32_t mantissa;
    int16_t exponent;
};

static void push(struct decimal *d, char c, bool fraction)
{
    if (d->mantissa <= FULL) {
        d->mantissa = d->mantissa * 10 + (uint32_t)(c - '0');
        d->exponent -= fraction;
    } else {
        d->exponent += !fraction;
    }
}

static bool exponent_of(struct reader *r, int16_t *exponent)
{
    if (!take(r, 'e') && !take(r, 'E'))
        return true;
    bool negative = take(r, '-');
    if (!negative)
        take(r, '+');
    if (!digit(r))
        return false;
    int16_t value = 0;
    while (digit(r)) {
        char c = *r->at++;
        if (value <= MOST_EXPONENT)
            value = value * 10 + (c - '0');
    }
    *exponent += negative ? -value : value;
    return true;
}

static bool scaled(struct decimal d, int32_t *value)
{
    uint8_t dropped = 0; /* the last digit that was cut off: rounds */
    for (; d.exponent < 0; d.exponent++) {
        dropped = d.mantissa % 10;
        d.mantissa /= 10;
    }
    d.mantissa += dropped >= 5;
    for (; d.exponent > 0 && d.mantissa; d.exponent--) {
        if (d.mantissa > INT32_MAX / 10)
            return false;
        d.mantissa *= 10;
    }
    *value = (int32_t)d.mantissa;
    return d.mantissa <= INT32_MAX;
}

bool number_parse(const char *text, uint8_t length, uint8_t decimals, int32_t *value)
{
    struct reader r = {text, text + length};
    struct decimal d = {0, decimals};
    bool negative = take(&r, '-');
    if (!digit(&r))
        return false;
    bool zero = *r.at == '0';
    uint8_t digits = 0;
    for (; digit(&r); digits++)
        push(&d, *r.at++, false);
    if (zero && digits > 1) /* JSON has no 007 */
        return false;
    if (take(&r, '.')) {
        if (!digit(&r))
            return false;
        while (digit(&r))
            push(&d, *r.at++, true);
    }
    if (!exponent_of(&r, &d.exponent) || r.at != r.end || !scaled(d, value))
        return false;
    if (negative)
        *value = -*value;
    return true;
}

const char *number_text(int64_t value, uint8_t decimals, char room[NUMBER_TEXT])
{
    char *at = room + NUMBER_TEXT;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = 0;
    for (uint8_t place = 0; rest || place <= decimals; place++) {
        if (decimals && place == decimals)
            *--at = '.';
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (value < 0)
        *--at = '-';
    return at;
}
