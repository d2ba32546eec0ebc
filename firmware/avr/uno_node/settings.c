#include "settings.h"

#include "flash_text.h"
#include "storage.h"

#include <string.h>

static const struct setting_row TABLE[SETTINGS] PROGMEM = {
    [VOLTAGE_GAIN] = {"voltage_gain", KIND_NUMBER, 4, 1000, 50000, 10000, ""},
    [VOLTAGE_OFFSET] = {"voltage_offset", KIND_NUMBER, 2, -5000, 5000, 0, ""},
    [CURRENT_GAIN] = {"current_gain", KIND_NUMBER, 4, 1000, 50000, 10000, ""},
    [CURRENT_OFFSET] = {"current_offset", KIND_NUMBER, 3, -2000, 2000, 0, ""},
    [PHASE_SHIFT] = {"phase_shift", KIND_NUMBER, 2, -1000, 1000, 0, ""},
    [DEAD_BAND] = {"dead_band", KIND_NUMBER, 3, 0, 2000, 80, ""},
    [RELAY_OUTPUT] = {"relay_output", KIND_SELECT, 0, 0, 2, RELAY_NONE,
                      "{\"0\":\"none\",\"1\":\"active high\",\"2\":\"active low\"}"},
    [RELAY_FEEDBACK] = {"relay_feedback", KIND_SWITCH, 0, 0, 1, 0, ""},
    [RELAY_AT_START] = {"relay_at_start", KIND_SWITCH, 0, 0, 1, 0, ""},
    [MINIMUM_OFF_TIME] = {"minimum_off_time", KIND_NUMBER, 0, 0, 3600, 10, ""},
    [FORM] = {"form", KIND_SELECT, 0, 0, 1, FORM_FULL, "{\"0\":\"bare\",\"1\":\"full\"}"},
};

void settings_row(enum setting setting, struct setting_row *row)
{
    memcpy_P(row, &TABLE[setting], sizeof *row);
}

void settings_start(struct settings *s)
{
    struct setting_row row;
    memset(s, 0, sizeof *s);
    s->ring.offset = STORAGE_SETTINGS;
    s->ring.slots = 2;
    s->ring.length = sizeof s->now;
    bool known = ring_load(&s->ring, &s->now);
    for (uint8_t i = 0; i < SETTINGS; i++) {
        settings_row(i, &row);
        int32_t value = s->now.value[i];
        if (!known || value < row.least || value > row.most)
            s->now.value[i] = row.initial;
    }
}

static bool keep(struct settings *s, const struct settings_record *changed)
{
    if (!ring_save(&s->ring, changed))
        return false;
    s->now = *changed;
    return true;
}

bool settings_change(struct settings *s, enum setting setting, int32_t value)
{
    struct settings_record changed = s->now;
    if (changed.value[setting] == value)
        return true; /* spare the memory */
    changed.value[setting] = value;
    return keep(s, &changed);
}

bool settings_identify(struct settings *s, uint32_t identity)
{
    struct settings_record changed = s->now;
    changed.identity = identity ? identity : 1;
    return keep(s, &changed);
}

bool settings_uncalibrated(const struct settings *s)
{
    return s->now.value[VOLTAGE_GAIN] == 10000 && s->now.value[CURRENT_GAIN] == 10000;
}

void settings_calibration(const struct settings *s, struct calibration *cal)
{
    const struct settings_record *now = &s->now;
    cal->voltage_gain = now->value[VOLTAGE_GAIN] / 1e4f;
    cal->voltage_offset = now->value[VOLTAGE_OFFSET] / 1e2f;
    cal->current_gain = now->value[CURRENT_GAIN] / 1e4f;
    cal->current_offset = now->value[CURRENT_OFFSET] / 1e3f;
    cal->phase_shift = now->value[PHASE_SHIFT] / 1e2f;
    cal->dead_band = now->value[DEAD_BAND] / 1e3f;
}
