#include "messages.h"

#include "board.h"
#include "flash_text.h"
#include "line.h"

#define TEXT(text) line_text(PSTR(text))

static bool full(const struct node *n)
{
    return n->settings.now.value[FORM] == FORM_FULL;
}

static void end(const struct node *n)
{
    line_text(PSTR("}"));
    line_end(full(n));
}

static void ram_text(const char *text)
{
    while (*text)
        line_characters(text++, 1);
}

static void hexadecimal(uint32_t value)
{
    for (int8_t shift = 28; shift >= 0; shift -= 4)
        line_characters(&"0123456789abcdef"[value >> shift & 15], 1);
}

static void control(const struct node *n, enum setting setting)
{
    struct setting_row row;
    settings_row(setting, &row);
    TEXT(",{\"key\":\"");
    ram_text(row.key);
    TEXT("\",\"kind\":\"");
    if (row.kind == KIND_NUMBER)
        TEXT("number");
    else if (row.kind == KIND_SWITCH)
        TEXT("switch");
    else
        TEXT("select");
    TEXT("\",\"value\":");
    line_number(n->settings.now.value[setting], row.decimals);
    if (row.kind == KIND_NUMBER) {
        TEXT(",\"min\":");
        line_number(row.least, row.decimals);
        TEXT(",\"max\":");
        line_number(row.most, row.decimals);
        TEXT(",\"step\":");
        line_number(1, row.decimals);
    } else if (row.kind == KIND_SELECT) {
        TEXT(",\"options\":");
        ram_text(row.options);
    }
    TEXT("}");
}

static void controls(const struct node *n)
{
    TEXT("{\"key\":\"reset_energy\",\"kind\":\"button\"}");
    if (relay_fitted(&n->relay)) {
        TEXT(",{\"key\":\"relay\",\"kind\":\"switch\",\"value\":");
        line_number(relay_read(&n->relay), 0);
        TEXT("}");
    }
    for (uint8_t i = 0; i < SETTINGS; i++) {
        if (i == FORM)
            continue; /* whoever reads this wants the full form */
        if (i > RELAY_OUTPUT && !relay_fitted(&n->relay))
            continue;
        control(n, i);
    }
}

void message_hello(struct node *n)
{
    if (!full(n))
        return;
    TEXT("{\"type\":\"hello\",\"v\":1,\"bridge\":\"uno-");
    hexadecimal(n->settings.now.identity);
    TEXT("\",\"boot\":");
    line_number(n->energy.saved.boot, 0);
    TEXT(",\"firmware\":\"" NODE_VERSION "\",\"hardware\":\"Arduino UNO\",\"name\":\"UNO node\","
         "\"kind\":\"uno\",\"capabilities\":[],\"interval\":1,\"meters\":[{\"id\":\"" NODE_METER "\","
         "\"name\":\"UNO node\",\"model\":\"UNO node\",\"firmware\":\"" NODE_VERSION "\",\"serial\":\"");
    hexadecimal(n->settings.now.identity);
    /* The sensor's range follows its gain: 20 A for the ACS712-20A. */
    TEXT("\",\"phases\":1,\"rated_current\":");
    line_number((20 * n->settings.now.value[CURRENT_GAIN] + 5000) / 10000, 0);
    TEXT(",\"quantities\":[\"voltage\",\"current\",\"power\",\"apparent_power\",\"power_factor\","
         "\"frequency\",\"energy_import\",\"energy_export\"],"
         "\"resolution\":{\"energy_import\":0.01,\"energy_export\":0.01},\"controls\":[");
    controls(n);
    TEXT("]}]");
    end(n);
}

static void sequence(struct node *n)
{
    TEXT("\",\"boot\":");
    line_number(n->energy.saved.boot, 0);
    TEXT(",\"seq\":");
    line_number(++n->seq, 0);
}

static void event(struct node *n, const char *what_in_flash)
{
    TEXT("{\"type\":\"event");
    sequence(n);
    TEXT(",\"event\":\"");
    line_text(what_in_flash);
    TEXT("\"");
}

void message_start(struct node *n)
{
    line_end(false); /* ends a line that a failing supply may have torn */
    message_hello(n);
    enum board_reset cause = board_reset_cause();
    if (!full(n) || (cause != RESET_WATCHDOG && cause != RESET_BROWN_OUT))
        return;
    event(n, cause == RESET_WATCHDOG ? PSTR("watchdog") : PSTR("brown_out"));
    end(n);
}

void message_relay(struct node *n, const char *reason)
{
    if (!full(n))
        return;
    event(n, PSTR("relay"));
    TEXT(",\"meter\":\"" NODE_METER "\",\"value\":");
    line_number(n->relay.seen, 0);
    TEXT(",\"reason\":\"");
    ram_text(reason);
    TEXT("\"");
    end(n);
}

/* A number, or null where there is none. */
static void value(bool there, int64_t number, uint8_t decimals)
{
    if (there)
        line_number(number, decimals);
    else
        TEXT("null");
}

static void bare_reading(const struct node *n, const struct measured *m)
{
    TEXT("{\"Voltage\": ");
    line_number(m->mv, 3);
    TEXT(", \"Current\": ");
    line_number(m->ma, 3);
    TEXT(", \"Power\": ");
    line_number(m->mw, 3);
    TEXT(", \"Apparent_Power\": ");
    line_number(m->mva, 3);
    TEXT(", \"PF\": ");
    value(m->has_factor, m->factor, 4);
    TEXT(", \"Frequency\": ");
    value(m->has_frequency, m->mhz, 3);
    TEXT(", \"Energy_kWh\": ");
    line_number((int64_t)(n->energy.saved.import / 1000), 3);
    TEXT(", \"Energy_Export_kWh\": ");
    line_number((int64_t)(n->energy.saved.export / 1000), 3);
    end(n);
}

static void flag(uint8_t flags, uint8_t which, const char *name_in_flash, bool *any)
{
    if (!(flags & which))
        return;
    line_text(*any ? PSTR(",\"") : PSTR(",\"flags\":[\""));
    line_text(name_in_flash);
    TEXT("\"");
    *any = true;
}

static void flags(uint8_t set)
{
    bool any = false;
    flag(set, FLAG_CLIPPING, PSTR("clipping"), &any);
    flag(set, FLAG_NO_VOLTAGE, PSTR("no_voltage"), &any);
    flag(set, FLAG_NO_ZERO_CROSSING | FLAG_OFF_FREQUENCY, PSTR("no_zero_crossing"), &any);
    flag(set, FLAG_OVERRUN, PSTR("overrun"), &any);
    flag(set, FLAG_STUCK, PSTR("stuck"), &any);
    flag(set, FLAG_UNCALIBRATED, PSTR("uncalibrated"), &any);
    flag(set, FLAG_RESTARTED, PSTR("restarted"), &any);
    if (any)
        TEXT("]");
}

void message_reading(struct node *n)
{
    /* Sending takes a quarter of a second, and the next window may be finished meanwhile. */
    struct measured m = n->last;
    if (!full(n)) {
        bare_reading(n, &m);
        return;
    }
    TEXT("{\"type\":\"reading");
    sequence(n);
    TEXT(",\"meter\":\"" NODE_METER "\",\"values\":{\"voltage\":");
    line_number(m.mv, 3);
    TEXT(",\"current\":");
    line_number(m.ma, 3);
    TEXT(",\"power\":");
    line_number(m.mw, 3);
    TEXT(",\"apparent_power\":");
    line_number(m.mva, 3);
    TEXT(",\"power_factor\":");
    value(m.has_factor, m.factor, 4);
    TEXT(",\"frequency\":");
    value(m.has_frequency, m.mhz, 3);
    TEXT(",\"energy_import\":");
    line_number((int64_t)(n->energy.saved.import / 1000), 3);
    TEXT(",\"energy_export\":");
    line_number((int64_t)(n->energy.saved.export / 1000), 3);
    TEXT("}");
    flags(n->first ? m.flags | FLAG_RESTARTED : m.flags);
    end(n);
}

void message_health(struct node *n)
{
    if (!full(n))
        return;
    TEXT("{\"type\":\"health\",\"uptime\":");
    line_number(n->second, 0);
    TEXT(",\"free_memory\":");
    line_number(board_free_memory(), 0);
    TEXT(",\"errors\":");
    line_number(n->errors, 0);
    TEXT(",\"reset\":\"");
    switch (board_reset_cause()) {
    case RESET_POWER: TEXT("power"); break;
    case RESET_BUTTON: TEXT("button"); break;
    case RESET_BROWN_OUT: TEXT("brown_out"); break;
    case RESET_WATCHDOG: TEXT("watchdog"); break;
    case RESET_COMMAND: TEXT("command"); break;
    case RESET_UNKNOWN: TEXT("unknown"); break;
    }
    TEXT("\"");
    end(n);
}

static void error_name(enum node_error error)
{
    switch (error) {
    case ERROR_NONE: break;
    case ERROR_UNKNOWN_METER: TEXT("unknown_meter"); break;
    case ERROR_UNKNOWN_CONTROL: TEXT("unknown_control"); break;
    case ERROR_BAD_VALUE: TEXT("bad_value"); break;
    case ERROR_MINIMUM_OFF_TIME: TEXT("minimum_off_time"); break;
    case ERROR_MISMATCH: TEXT("mismatch"); break;
    case ERROR_UNSUPPORTED: TEXT("unsupported"); break;
    case ERROR_NO_ANSWER: TEXT("no_answer"); break;
    }
}

void message_answer(struct node *n, const struct answer *answer)
{
    TEXT("{\"type\":\"ack\",\"id\":");
    line_number(answer->id, 0);
    if (answer->error) {
        TEXT(",\"ok\":false,\"error\":\"");
        error_name(answer->error);
        TEXT("\"");
        if (answer->error == ERROR_MINIMUM_OFF_TIME) {
            TEXT(",\"text\":\"");
            line_number(answer->wait, 0);
            TEXT(" s to go\"");
        }
    } else {
        TEXT(",\"ok\":true");
        if (answer->has_value) {
            TEXT(",\"value\":");
            line_number(answer->value, answer->decimals);
        }
    }
    end(n);
}

void message_gone(struct node *n, struct slice boot, struct slice from, struct slice to)
{
    if (!full(n))
        return;
    TEXT("{\"type\":\"gone\",\"boot\":");
    if (boot.length)
        line_characters(boot.text, boot.length);
    else
        line_number(n->energy.saved.boot, 0);
    TEXT(",\"from\":");
    line_characters(from.text, from.length);
    TEXT(",\"to\":");
    line_characters(to.text, to.length);
    end(n);
}
