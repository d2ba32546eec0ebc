/* One or two cycles of raw samples, taken on command and read in chunks. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { CAPTURE_PAIRS = 140, CAPTURE_PER_CHUNK = 14 };

/* What chunk 0 says besides the samples; set by the main loop. */
struct capture_scale {
    uint16_t tag, flags;
    uint32_t microvolts, microamperes; /* per count */
    int32_t voltage_zero, current_zero; /* 0.001 count */
    int16_t delay;                      /* 0.1 µs */
};

struct capture {
    int16_t samples[CAPTURE_PAIRS][2];
    volatile uint8_t state;
    uint8_t cycles, crossings;
    uint8_t count;         /* pairs so far */
    uint16_t waited;       /* pairs until the first crossing */
    bool armed;
    uint16_t number;       /* of the last complete one; its low byte is never 0 */
    struct capture_scale scale;
};

void capture_begin(struct capture *c, uint8_t cycles);
bool capture_busy(const struct capture *c);
bool capture_ready(const struct capture *c);
/* A pair of codes; called in an interrupt.  `middle` is the voltage's zero in counts. */
void capture_pair(struct capture *c, uint16_t v_code, uint16_t i_code, int16_t middle);
/* The 60 bytes of a chunk of this capture. */
void capture_bytes(const struct capture *c, uint8_t chunk, uint8_t *bytes);

#endif
