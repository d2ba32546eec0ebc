/* Sums over whole cycles of the mains: what is done with every pair of samples.
 *
 * A window begins and ends at a rising zero crossing of the voltage.  Without any (no mains) it has a
 * fixed length.  Everything here is integer, in steps of the ADC ("LSB"). */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WINDOW_MIDDLE = 512, /* code of the ADC that counts as 0: half of the supply */
    WINDOW_LOW_RAIL = 1, WINDOW_HIGH_RAIL = 1022, /* codes at which an input is at its end */
    WINDOW_QUARTER = 11,   /* samples in about a quarter of a cycle of 50 Hz */
    WINDOW_FULL = 8000,    /* samples after which a sum might overflow */
};

struct sums {
    uint16_t samples;
    uint16_t cycles;       /* whole cycles between the first crossing and the last */
    bool aligned;          /* it began and ended at a crossing */
    int32_t v, i;
    uint32_t vv, ii;
    int32_t vi, vi_next;   /* v[n]·i[n], and v[n+1]·i[n]: the voltage one period later */
    int32_t vi_quarter;    /* v[n−WINDOW_QUARTER]·i[n]: about a quarter of a cycle earlier */
    int16_t i_before, i_last; /* the current before the first sample, and the last one */
    uint8_t clipped_v, clipped_i; /* samples at the ends, up to 255 */
    bool lost;             /* samples were dropped: nobody fetched the window before */
    int16_t v_low, v_high, i_low, i_high; /* extremes */
    /* The filtered voltage around the crossing at the window's beginning and end (8ths of a LSB):
     * where between two samples it went through zero. */
    int16_t first_before, first_after, last_before, last_after;
};

struct window {
    uint16_t cycles, least; /* a window has at least so many cycles and samples */
    uint16_t most;         /* samples of a window without crossings */
    uint8_t quiet;         /* samples since the last crossing */
    struct sums now, done;
    volatile bool ready;   /* `done` waits to be fetched */
    bool begun;            /* `now` began at a crossing */
    bool broken;           /* and later there was none for too long */
    bool armed;            /* the voltage has been clearly negative */
    int16_t i_before;
    int16_t earlier[WINDOW_QUARTER]; /* the last voltages, in a ring */
    uint8_t oldest;
    int16_t filtered;      /* the voltage without its offset, 8ths of a LSB */
    int16_t middle;        /* that offset, 8ths of a LSB */
    int16_t arm;           /* how far below zero "clearly negative" is, 8ths of a LSB */
    int16_t next_middle, next_arm; /* to be taken over, when `fresh` */
    volatile bool fresh;
};

/* A window ends at the crossing after which it has so many whole cycles and samples; without any crossings it
 * has `most` samples. */
void window_start(struct window *w, uint16_t cycles, uint16_t least, uint16_t most);
/* Take a pair of ADC codes (0 to 1023).  Called in an interrupt. */
void window_add(struct window *w, uint16_t v_code, uint16_t i_code);
/* Fetch a finished window; false if there is none.  Follows the voltage's offset and size from window
 * to window.  Called outside of interrupts. */
bool window_fetch(struct window *w, struct sums *sums);
/* Something that differs between boards and between starts: the noise in the sums. */
uint32_t window_noise(const struct sums *sums, uint32_t salt);

#endif
