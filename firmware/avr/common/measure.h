/* From the sums of a window to volts, amperes and watts. */
#ifndef MEASURE_H
#define MEASURE_H

#include "window.h"

#include <stdbool.h>
#include <stdint.h>

/* How the board samples and what its sensors are; constants of a build. */
struct sensors {
    uint32_t ticks_per_second; /* of the clock that sampling runs from */
    uint16_t period;           /* ticks between two pairs of samples */
    uint16_t skew;             /* ticks from the voltage's sample to the current's */
    float volts, amperes;      /* per LSB */
    float least_volts;         /* below it there is no voltage */
};

/* What the user has found out about them. */
struct calibration {
    float voltage_gain, voltage_offset; /* 1, V */
    float current_gain, current_offset; /* 1, A */
    float phase_shift;                  /* degrees that the current is read late */
    float dead_band;                    /* A; below it there is no current */
};

enum {
    FLAG_CLIPPING = 1 << 0,
    FLAG_NO_VOLTAGE = 1 << 1,
    FLAG_NO_ZERO_CROSSING = 1 << 2,
    FLAG_OVERRUN = 1 << 3,
    FLAG_STUCK = 1 << 4,
    FLAG_UNCALIBRATED = 1 << 5,
    FLAG_RESTARTED = 1 << 6,
    FLAG_OFF_FREQUENCY = 1 << 7, /* there are crossings, but not at the mains' frequency */
};

struct measured {
    int32_t mv, ma, mw, mva;
    int32_t mv_seen;   /* the voltage even where it is too low to count */
    int32_t mvar;      /* of the fundamental; positive: the current lags */
    int32_t factor;    /* power factor · 10 000, sign of the power */
    int32_t mhz;
    uint16_t crest;    /* peak of the current / its RMS · 1000; 0: no current */
    bool has_factor, has_frequency;
    uint8_t flags;
    uint32_t ticks;    /* how long the window was */
};

void measure(const struct sums *sums, const struct sensors *sensors, const struct calibration *cal,
             struct measured *result);

#endif
