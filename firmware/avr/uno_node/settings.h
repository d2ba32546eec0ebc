/* What can be set over the line, and where it is kept. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "measure.h"
#include "records.h"

#include <stdbool.h>
#include <stdint.h>

enum setting {
    VOLTAGE_GAIN, VOLTAGE_OFFSET, CURRENT_GAIN, CURRENT_OFFSET, PHASE_SHIFT, DEAD_BAND,
    RELAY_OUTPUT, RELAY_FEEDBACK, RELAY_AT_START, MINIMUM_OFF_TIME, FORM,
    SETTINGS
};

enum { RELAY_NONE, RELAY_ACTIVE_HIGH, RELAY_ACTIVE_LOW };
enum { FORM_BARE, FORM_FULL };
enum setting_kind { KIND_NUMBER, KIND_SWITCH, KIND_SELECT };

enum { SETTING_KEY = 18, SETTING_OPTIONS = 56 };

/* One row of the table; the numbers are in steps of 10^-decimals. */
struct setting_row {
    char key[SETTING_KEY];
    uint8_t kind, decimals;
    int32_t least, most, initial;
    char options[SETTING_OPTIONS]; /* of a select, as JSON */
};

struct settings_record {
    uint32_t identity; /* made up once, kept for ever; 0: none yet */
    int32_t value[SETTINGS];
} __attribute__((packed));

struct settings {
    struct ring ring;
    struct settings_record now;
};

void settings_row(enum setting setting, struct setting_row *row);
/* Load them; what is missing or out of its limits stands at its initial value. */
void settings_start(struct settings *s);
/* Change one and keep it; false if it cannot be kept, then it stands as before. */
bool settings_change(struct settings *s, enum setting setting, int32_t value);
bool settings_identify(struct settings *s, uint32_t identity);
/* Whether both gains stand as they came. */
bool settings_uncalibrated(const struct settings *s);
void settings_calibration(const struct settings *s, struct calibration *cal);

#endif
