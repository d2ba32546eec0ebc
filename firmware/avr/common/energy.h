/* Energy counters that are exact sums of integers and survive the supply.
 *
 * What is told to others is what has been saved: a supply that fails can therefore cost what was
 * counted since (at most ENERGY_SAVE_MWH or a minute's, whichever is more), but a counter
 * that was seen never falls and nothing is counted twice. */
#ifndef ENERGY_H
#define ENERGY_H

#include "records.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENERGY_SAVE_MWH = 10000,       /* save when this much has come together, */
    ENERGY_SAVE_SECONDS = 60,      /* but not more often than this */
    ENERGY_SAVE_MUCH_MWH = 40000,  /* unless it is this much, */
    ENERGY_SAVE_LITTLE_MWH = 1000, /* and this much */
    ENERGY_SAVE_LATE_SECONDS = 300 /* after this long */
};

/* What a record holds; mWh. */
struct energy_record {
    uint32_t boot;
    uint64_t import, export;
} __attribute__((packed));

struct energy {
    struct ring ring;
    struct energy_record saved;   /* what is told */
    uint64_t import, export;      /* what has been counted, mWh */
    uint64_t import_rest, export_rest; /* less than a mWh, in mW · ticks */
    uint16_t seconds;             /* since the last save */
};

/* Load the counters and count this start.  `random` is the number of the very first start, so that
 * a board whose memory was erased does not repeat numbers. */
void energy_start(struct energy *e, uint16_t offset, uint8_t slots, uint16_t random);
/* A power of `mw` (negative: exported) over `ticks` of 1 / `ticks_per_second`. */
void energy_add(struct energy *e, int32_t mw, uint32_t ticks, uint32_t ticks_per_second);
/* Called once a second: saves when it is time. */
void energy_second(struct energy *e);
bool energy_save(struct energy *e);
/* Both counters to zero, at once and for good. */
bool energy_reset(struct energy *e);

#endif
