#include "window.h"

#include <string.h>

enum {
    FILTER = 2,        /* low pass: a quarter of the difference per sample, against noise and harmonics */
    FRACTION = 8,      /* steps of the filtered voltage per LSB */
    LEAST_ARM = 3 * FRACTION, /* hysteresis when there is next to no voltage */
    QUIET = 80         /* samples without a crossing (35 ms) that no mains has */
};

/* Begin a new window; `before` and `after` are the filtered voltage around this crossing. */
static void begin(struct window *w, int16_t before, int16_t after)
{
    memset(&w->now, 0, sizeof w->now);
    w->broken = false;
    w->now.i_before = w->i_before;
    w->now.v_low = w->now.i_low = INT16_MAX;
    w->now.v_high = w->now.i_high = INT16_MIN;
    w->now.first_before = before;
    w->now.first_after = after;
}

void window_start(struct window *w, uint16_t cycles, uint16_t least, uint16_t most)
{
    memset(w, 0, sizeof *w);
    w->cycles = cycles;
    w->least = least;
    w->most = most;
    w->arm = LEAST_ARM;
    begin(w, 0, 0);
}

/* Hand the window over.  If the last one has not been fetched yet, this one goes on. */
static bool finish(struct window *w, bool aligned)
{
    if (w->ready)
        return false;
    w->now.aligned = aligned;
    w->now.i_last = w->i_before;
    w->done = w->now;
    w->ready = true;
    return true;
}

static void crossing(struct window *w, int16_t before, int16_t after)
{
    w->quiet = 0;
    if (!w->begun) { /* what came before does not begin at a crossing: let it go */
        w->begun = true;
        begin(w, before, after);
        return;
    }
    w->now.cycles++;
    w->now.last_before = before;
    w->now.last_after = after;
    bool whole = !w->broken && w->now.cycles >= w->cycles && w->now.samples >= w->least;
    if (whole && finish(w, true))
        begin(w, before, after);
}

/* Follow the voltage through a low pass; true at a rising crossing. */
static bool rises_through_zero(struct window *w, int16_t v)
{
    int16_t before = w->filtered;
    w->filtered += (int16_t)(v * FRACTION - w->middle - before) >> FILTER;
    if (w->filtered < -w->arm)
        w->armed = true;
    if (!w->armed || w->filtered < 0)
        return false;
    w->armed = false;
    return true;
}

void window_add(struct window *w, uint16_t v_code, uint16_t i_code)
{
    int16_t v = (int16_t)v_code - WINDOW_MIDDLE, i = (int16_t)i_code - WINDOW_MIDDLE;
    int16_t before = w->filtered;
    struct sums *s = &w->now;
    if (w->fresh) {
        w->middle = w->next_middle;
        w->arm = w->next_arm;
        w->fresh = false;
    }
    if (rises_through_zero(w, v)) {
        crossing(w, before, w->filtered);
    } else if (w->quiet < QUIET) {
        w->quiet++;
    } else {
        w->broken = true;
    }
    if ((w->broken || !w->begun) && s->samples >= w->most && finish(w, false)) {
        w->begun = false;
        begin(w, 0, 0);
    }
    if (s->samples >= WINDOW_FULL) { /* nobody fetches */
        s->lost = true;
        return;
    }
    s->samples++;
    s->v += v;
    s->i += i;
    s->vv += (uint32_t)((int32_t)v * v);
    s->ii += (uint32_t)((int32_t)i * i);
    s->vi += (int32_t)v * i;
    s->vi_next += (int32_t)v * w->i_before;
    s->vi_quarter += (int32_t)w->earlier[w->oldest] * i;
    w->earlier[w->oldest] = v;
    w->oldest = w->oldest + 1 < WINDOW_QUARTER ? w->oldest + 1 : 0;
    if ((v_code <= WINDOW_LOW_RAIL || v_code >= WINDOW_HIGH_RAIL) && s->clipped_v < UINT8_MAX)
        s->clipped_v++;
    if ((i_code <= WINDOW_LOW_RAIL || i_code >= WINDOW_HIGH_RAIL) && s->clipped_i < UINT8_MAX)
        s->clipped_i++;
    if (v < s->v_low)
        s->v_low = v;
    if (v > s->v_high)
        s->v_high = v;
    if (i < s->i_low)
        s->i_low = i;
    if (i > s->i_high)
        s->i_high = i;
    w->i_before = i;
}

static uint16_t root(uint32_t square)
{
    uint16_t result = 0;
    for (uint16_t bit = 0x8000; bit; bit >>= 1)
        if ((uint32_t)(result | bit) * (result | bit) <= square)
            result |= bit;
    return result;
}

bool window_fetch(struct window *w, struct sums *sums)
{
    if (!w->ready)
        return false;
    *sums = w->done; /* interrupts leave `done` alone while it is ready */
    int32_t mean = sums->v * FRACTION / (int32_t)sums->samples;
    int32_t variance = (int32_t)(sums->vv / sums->samples) - mean * mean / (FRACTION * FRACTION);
    int16_t arm = (int16_t)(root(variance > 0 ? (uint32_t)variance : 0) * FRACTION / 2);
    w->next_middle = (int16_t)mean;
    w->next_arm = arm > LEAST_ARM ? arm : LEAST_ARM;
    w->fresh = true;
    w->ready = false;
    return true;
}

uint32_t window_noise(const struct sums *sums, uint32_t salt)
{
    const uint32_t parts[] = {sums->vv, sums->ii, (uint32_t)sums->vi, (uint32_t)sums->vi_next,
                              (uint32_t)sums->v, (uint32_t)sums->i, sums->samples};
    uint32_t hash = 2166136261u ^ salt; /* FNV-1a */
    for (uint8_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (uint8_t shift = 0; shift < 32; shift += 8)
            hash = (hash ^ (parts[i] >> shift & 0xFF)) * 16777619u;
    return hash;
}
