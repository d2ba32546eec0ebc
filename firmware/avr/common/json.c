#include "json.h"

#include "flash_text.h"

void json_start(struct json *j, const char *text, uint8_t length)
{
    *j = (struct json){text, text + length, false, false};
}

static void blanks(struct json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\r' || *j->at == '\n'))
        j->at++;
}

static bool take(struct json *j, char c)
{
    if (j->at == j->end || *j->at != c)
        return false;
    j->at++;
    return true;
}

static bool hexadecimal(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escape(struct json *j)
{
    if (j->at == j->end)
        return false;
    switch (*j->at++) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return true;
    case 'u':
        for (uint8_t i = 0; i < 4; i++)
            if (j->at == j->end || !hexadecimal(*j->at++))
                return false;
        return true;
    default:
        return false;
    }
}

static bool text(struct json *j, struct slice *slice)
{
    if (!take(j, '"'))
        return false;
    slice->text = j->at;
    while (j->at < j->end && *j->at != '"') {
        if ((uint8_t)*j->at < ' ')
            return false;
        if (*j->at++ == '\\' && !escape(j))
            return false;
    }
    slice->length = (uint8_t)(j->at - slice->text);
    return take(j, '"');
}

static bool plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' ||
           c == 'E';
}

/* Brackets and braces must match; texts inside are respected, the rest is not looked at. */
static bool nested(struct json *j)
{
    char open[JSON_DEPTH];
    uint8_t depth = 0;
    struct slice ignored;
    do {
        if (j->at == j->end)
            return false;
        char c = *j->at;
        if (c == '"') {
            if (!text(j, &ignored))
                return false;
            continue;
        }
        j->at++;
        if (c == '{' || c == '[') {
            if (depth == JSON_DEPTH)
                return false;
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            if (open[--depth] != (c == '}' ? '{' : '['))
                return false;
        }
    } while (depth);
    return true;
}

static bool value(struct json *j, struct member *m)
{
    if (j->at == j->end)
        return false;
    char c = *j->at;
    if (c == '"') {
        m->type = JSON_TEXT;
        return text(j, &m->value);
    }
    m->value.text = j->at;
    if (c == '{' || c == '[') {
        m->type = JSON_NESTED;
        if (!nested(j))
            return false;
    } else {
        m->type = c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER : JSON_WORD;
        while (j->at < j->end && plain(*j->at))
            j->at++;
    }
    m->value.length = (uint8_t)(j->at - m->value.text);
    return m->value.length > 0 &&
           (m->type != JSON_WORD || slice_is(m->value, PSTR("true")) ||
            slice_is(m->value, PSTR("false")) || slice_is(m->value, PSTR("null")));
}

static bool member(struct json *j, struct member *m)
{
    if (!text(j, &m->key))
        return false;
    blanks(j);
    if (!take(j, ':'))
        return false;
    blanks(j);
    return value(j, m);
}

static bool fail(struct json *j)
{
    j->broken = true;
    j->at = j->end;
    return false;
}

/* After the closing brace nothing but blanks may follow. */
static bool finished(struct json *j)
{
    blanks(j);
    if (j->at != j->end)
        return fail(j);
    return false;
}

bool json_next(struct json *j, struct member *m)
{
    if (j->broken || (j->begun && j->at == j->end))
        return false;
    blanks(j);
    if (!j->begun) {
        if (!take(j, '{'))
            return fail(j);
        j->begun = true;
        blanks(j);
        if (take(j, '}'))
            return finished(j);
    } else if (!take(j, ',')) {
        return fail(j);
    }
    blanks(j);
    if (!member(j, m))
        return fail(j);
    blanks(j);
    if (j->at == j->end)
        return fail(j);
    if (*j->at == '}') {
        j->at++;
        finished(j);
        return !j->broken;
    }
    return true;
}

bool slice_is(struct slice slice, const char *text_in_flash)
{
    return strlen_P(text_in_flash) == slice.length &&
           !strncmp_P(slice.text, text_in_flash, slice.length);
}
