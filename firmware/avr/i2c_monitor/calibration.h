/* What is set and kept: who the monitor is, where it answers, how it is calibrated. */
#ifndef CALIBRATION_H
#define CALIBRATION_H

#include "measure.h"
#include "records.h"

#include <stdbool.h>
#include <stdint.h>

enum { ADDRESS_LOWEST = 0x08, ADDRESS_HIGHEST = 0x77 };

struct kept {
    uint64_t id;              /* 0: none yet */
    uint32_t voltage_gain, current_gain; /* 0.000001 */
    int32_t current_zero, voltage_zero;  /* as learned: µA, mV */
    int16_t phase_shift;      /* 0.01 degrees at 50 Hz */
    uint16_t dead_band;       /* mA */
    uint16_t writes;
    uint8_t address;
} __attribute__((packed));

struct store {
    struct ring ring;
    struct kept now;
    bool restored;
};

void store_start(struct store *s);
/* Keep `changed`; false if it does not read back, then everything is as before. */
bool store_keep(struct store *s, const struct kept *changed);
void store_defaults(struct kept *kept); /* of the calibration alone */
bool store_uncalibrated(const struct store *s);
/* For a mains frequency in mHz: the shift is a time, and so an angle that grows with it. */
void store_calibration(const struct store *s, int32_t mhz, struct calibration *cal);
bool address_usable(uint32_t address);

#endif
