/* Energy counters that are exact sums of integers and survive the supply.
 *
 * A supply that fails costs what was counted since the last save.  Who tells only what has been saved (`saved`)
 * never shows a counter that falls, and nothing is counted twice. */
#ifndef ENERGY_H
#define ENERGY_H

#include "records.h"

#include <stdbool.h>
#include <stdint.h>

/* When it is worth the wear to save: when `enough` mWh have come together, but not more often than every `seconds`
 * unless it is `much`; and `little` of them after `late_seconds`. */
struct energy_policy {
    uint32_t enough, much, little;
    uint16_t seconds, late_seconds;
};

/* What a record holds; mWh. */
struct energy_record {
    uint32_t boot;
    uint64_t import, export;
} __attribute__((packed));

struct energy {
    struct ring ring;
    struct energy_record saved;
    const struct energy_policy *policy;
    bool restored;                /* there was a record at the start */
    uint64_t import, export;      /* what has been counted, mWh */
    uint64_t import_rest, export_rest; /* less than a mWh, in mW · ticks */
    uint16_t seconds;             /* since the last save */
};

/* Load the counters and count this start.  `random` is the number of the very first start, so that
 * a board whose memory was erased does not repeat numbers. */
void energy_start(struct energy *e, const struct energy_policy *policy, uint16_t random);
/* A power of `mw` (negative: exported) over `ticks` of 1 / `ticks_per_second`. */
void energy_add(struct energy *e, int32_t mw, uint32_t ticks, uint32_t ticks_per_second);
/* Called once a second: saves when it is time. */
void energy_second(struct energy *e);
bool energy_save(struct energy *e);
/* Both counters to zero, at once and for good. */
bool energy_reset(struct energy *e);

#endif
