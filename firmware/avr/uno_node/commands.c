#include "commands.h"

#include "board.h"
#include "crc16.h"
#include "flash_text.h"
#include "json.h"
#include "messages.h"
#include "number.h"

#include <string.h>

enum { REMEMBERED_SECONDS = 60 };

struct request {
    struct slice type, meter, control, boot, from, to;
    struct member value;
    bool has_value, has_meter;
    int32_t id; /* 0: none */
};

static int8_t hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return (int8_t)(c - '0');
    if (c >= 'A' && c <= 'F')
        return (int8_t)(c - 'A' + 10);
    return c >= 'a' && c <= 'f' ? (int8_t)(c - 'a' + 10) : -1;
}

/* Take a CRC off the end of a line; false if there is one and it is wrong. */
static bool check(const char *line, uint8_t *length)
{
    if (*length < 7 || line[*length - 5] != '*' || line[*length - 6] != '}')
        return true;
    uint16_t crc = 0;
    for (uint8_t i = *length - 4; i < *length; i++) {
        int8_t digit = hexadecimal(line[i]);
        if (digit < 0)
            return false;
        crc = (uint16_t)(crc << 4) | (uint16_t)digit;
    }
    *length -= 5;
    return crc == crc16(line, *length);
}

/* A whole number that is not negative, as it stands. */
static struct slice count_of(const struct member *m)
{
    int32_t number;
    bool good = m->type == JSON_NUMBER && number_parse(m->value.text, m->value.length, 0, &number);
    for (uint8_t i = 0; good && i < m->value.length; i++)
        good = m->value.text[i] >= '0' && m->value.text[i] <= '9';
    return good ? m->value : (struct slice){NULL, 0};
}

static bool parse(struct request *r, const char *line, uint8_t length)
{
    struct json json;
    struct member m;
    memset(r, 0, sizeof *r);
    json_start(&json, line, length);
    while (json_next(&json, &m)) {
        bool text = m.type == JSON_TEXT;
        if (slice_is(m.key, PSTR("type")) && text) {
            r->type = m.value;
        } else if (slice_is(m.key, PSTR("id")) && m.type == JSON_NUMBER) {
            if (!number_parse(m.value.text, m.value.length, 0, &r->id) || r->id < 0)
                r->id = 0;
        } else if (slice_is(m.key, PSTR("meter"))) {
            r->has_meter = !slice_is(m.value, PSTR("null")) || text;
            r->meter = text ? m.value : (struct slice){NULL, 0};
        } else if (slice_is(m.key, PSTR("control")) && text) {
            r->control = m.value;
        } else if (slice_is(m.key, PSTR("value"))) {
            r->has_value = true;
            r->value = m;
        } else if (slice_is(m.key, PSTR("boot"))) {
            r->boot = count_of(&m);
        } else if (slice_is(m.key, PSTR("from"))) {
            r->from = count_of(&m);
        } else if (slice_is(m.key, PSTR("to"))) {
            r->to = count_of(&m);
        }
    }
    return !json.broken;
}

static bool value_of(const struct request *r, uint8_t decimals, int32_t least, int32_t most,
                     int32_t *value)
{
    return r->has_value && r->value.type == JSON_NUMBER &&
           number_parse(r->value.value.text, r->value.value.length, decimals, value) &&
           *value >= least && *value <= most;
}

static void relay(struct node *n, const struct request *r, struct answer *a)
{
    int32_t on;
    if (!value_of(r, 0, 0, 1, &on)) {
        a->error = relay_fitted(&n->relay) ? ERROR_BAD_VALUE : ERROR_UNKNOWN_CONTROL;
        return;
    }
    switch (relay_command(&n->relay, on)) {
    case RELAY_DONE:
        a->has_value = true;
        a->value = n->relay.seen;
        break;
    case RELAY_NOT_FITTED:
        a->error = ERROR_UNKNOWN_CONTROL;
        break;
    case RELAY_TOO_SOON:
        a->error = ERROR_MINIMUM_OFF_TIME;
        a->wait = relay_wait(&n->relay);
        break;
    case RELAY_MISMATCH:
        a->error = ERROR_MISMATCH;
        break;
    }
}

static void change(struct node *n, const struct request *r, struct answer *a, enum setting setting,
                   const struct setting_row *row)
{
    int32_t value;
    if (!value_of(r, row->decimals, row->least, row->most, &value)) {
        a->error = ERROR_BAD_VALUE;
        return;
    }
    if (!settings_change(&n->settings, setting, value)) {
        a->error = ERROR_MISMATCH; /* the EEPROM did not read back what was written */
        return;
    }
    settings_calibration(&n->settings, &n->calibration);
    if (setting == RELAY_OUTPUT || setting == RELAY_FEEDBACK)
        relay_settings_changed(&n->relay);
    a->has_value = true;
    a->decimals = row->decimals;
    a->value = n->settings.now.value[setting];
}

static void set(struct node *n, const struct request *r, struct answer *a)
{
    struct setting_row row;
    for (uint8_t i = 0; i < SETTINGS; i++) {
        settings_row(i, &row);
        if (strlen(row.key) == r->control.length &&
            !memcmp(row.key, r->control.text, r->control.length)) {
            change(n, r, a, i, &row);
            return;
        }
    }
    a->error = ERROR_UNKNOWN_CONTROL;
}

static void meter_command(struct node *n, const struct request *r, struct answer *a)
{
    if (slice_is(r->control, PSTR("relay"))) {
        relay(n, r, a);
    } else if (slice_is(r->control, PSTR("reset_energy"))) {
        if (!energy_reset(&n->energy))
            a->error = ERROR_MISMATCH;
    } else {
        set(n, r, a);
    }
}

/* Whether something must be done after the answer has gone out. */
enum after { AFTER_NOTHING, AFTER_RESTART, AFTER_HELLO };

static enum after execute(struct node *n, const struct request *r, struct answer *a)
{
    if (r->has_meter && !slice_is(r->meter, PSTR(NODE_METER))) {
        a->error = ERROR_UNKNOWN_METER;
        return AFTER_NOTHING;
    }
    if (!r->has_meter && slice_is(r->control, PSTR("restart")))
        return AFTER_RESTART;
    if (!r->has_meter && slice_is(r->control, PSTR("identify"))) {
        board_identify();
        return AFTER_NOTHING;
    }
    meter_command(n, r, a);
    /* Other controls are there now, or another rating: say so. */
    bool changed = slice_is(r->control, PSTR("relay_output")) ||
                   slice_is(r->control, PSTR("current_gain"));
    return changed && !a->error ? AFTER_HELLO : AFTER_NOTHING;
}

static struct answer *answered_before(struct node *n, int32_t id)
{
    for (uint8_t i = 0; i < NODE_ANSWERS; i++) {
        struct answer *a = &n->answers[i];
        if (id && a->id == id && board_uptime() - a->at <= REMEMBERED_SECONDS)
            return a;
    }
    return NULL;
}

static void command(struct node *n, const struct request *r)
{
    struct answer *a = answered_before(n, r->id);
    if (a) {
        message_answer(n, a);
        return;
    }
    a = &n->answers[n->next_answer];
    n->next_answer = (n->next_answer + 1) % NODE_ANSWERS;
    memset(a, 0, sizeof *a);
    a->id = r->id;
    enum after after = execute(n, r, a);
    a->at = board_uptime();
    message_answer(n, a);
    if (after == AFTER_HELLO)
        message_hello(n);
    if (after == AFTER_RESTART) {
        energy_save(&n->energy);
        board_restart();
    }
}

bool command_line(struct node *n, const char *line, uint8_t length)
{
    struct request r;
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' '))
        length--;
    if (!length)
        return true;
    if (!check(line, &length) || !parse(&r, line, length))
        return false;
    if (slice_is(r.type, PSTR("command"))) {
        command(n, &r);
    } else if (slice_is(r.type, PSTR("hello?"))) {
        message_hello(n);
    } else if (slice_is(r.type, PSTR("resend"))) {
        if (!r.from.length || !r.to.length)
            return false;
        message_gone(n, r.boot, r.from, r.to);
    } else if ((slice_is(r.type, PSTR("config")) || slice_is(r.type, PSTR("update"))) && r.id) {
        struct answer a = {.id = r.id, .error = ERROR_UNSUPPORTED};
        message_answer(n, &a);
    }
    return true; /* other types are not for us */
}
