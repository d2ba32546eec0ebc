#include "capture.h"

#include "bytes.h"
#include "sampling.h"
#include "window.h"

#include <string.h>

enum { IDLE, WAITING, TAKING, DONE };
enum {
    PATIENCE = 80,  /* pairs (35 ms) to wait for a crossing; then it begins at once */
    BELOW = 4,      /* counts below the zero before a crossing counts */
    MISSING = -32768,
};

void capture_begin(struct capture *c, uint8_t cycles)
{
    c->state = IDLE;
    c->cycles = cycles;
    c->count = c->crossings = 0;
    c->waited = 0;
    c->armed = false;
    c->state = WAITING;
}

bool capture_busy(const struct capture *c)
{
    return c->state == WAITING || c->state == TAKING;
}

bool capture_ready(const struct capture *c)
{
    return c->state == DONE;
}

static void finish(struct capture *c)
{
    c->number++;
    if (!(c->number & 0xFF))
        c->number++;
    c->state = DONE;
}

void capture_pair(struct capture *c, uint16_t v_code, uint16_t i_code, int16_t middle)
{
    if (!capture_busy(c))
        return;
    int16_t v = (int16_t)v_code - WINDOW_MIDDLE, i = (int16_t)i_code - WINDOW_MIDDLE;
    bool rising = c->armed && v >= middle;
    if (v < middle - BELOW)
        c->armed = true;
    if (rising)
        c->armed = false;
    if (c->state == WAITING) {
        if (!rising && ++c->waited < PATIENCE)
            return;
        c->state = TAKING;
    } else if (rising && ++c->crossings >= c->cycles) {
        finish(c);
        return;
    }
    c->samples[c->count][0] = v;
    c->samples[c->count][1] = i;
    /* Without crossings as many pairs as cycles of 50 Hz have. */
    bool blind = c->waited >= PATIENCE && c->count + 1 >= c->cycles * PAIRS_PER_SECOND / 50;
    if (++c->count == CAPTURE_PAIRS || blind)
        finish(c);
}

void capture_bytes(const struct capture *c, uint8_t chunk, uint8_t *bytes)
{
    bool ready = capture_ready(c);
    uint8_t first = (uint8_t)(chunk - 1) * CAPTURE_PER_CHUNK;
    bool samples = ready && chunk && chunk <= CAPTURE_PAIRS / CAPTURE_PER_CHUNK && first < c->count;
    put_u16(bytes, c->scale.tag);
    bytes[2] = ready && (samples || !chunk) ? (uint8_t)c->number : 0;
    bytes[3] = chunk;
    if (!samples) {
        memset(bytes + 32, 0xFF, 28);
        put_u16(bytes + 4, ready ? c->count : 0);
        bytes[6] = CAPTURE_PER_CHUNK;
        bytes[7] = c->cycles;
        put_u32(bytes + 8, (uint32_t)(TICKS_PER_SECOND * 1000ull / PERIOD));
        put_u32(bytes + 12, c->scale.microvolts);
        put_u32(bytes + 16, c->scale.microamperes);
        put_u32(bytes + 20, (uint32_t)c->scale.voltage_zero);
        put_u32(bytes + 24, (uint32_t)c->scale.current_zero);
        put_u16(bytes + 28, (uint16_t)c->scale.delay);
        put_u16(bytes + 30, c->scale.flags);
        return;
    }
    uint8_t last = c->count - first < CAPTURE_PER_CHUNK ? c->count - first : CAPTURE_PER_CHUNK;
    /* The clock is held meanwhile: both sides have the lower byte first, so this is a copy. */
    memcpy(bytes + 4, c->samples[first], last * sizeof c->samples[0]);
    for (uint8_t k = last; k < CAPTURE_PER_CHUNK; k++) {
        put_u16(bytes + 4 + 4 * k, (uint16_t)MISSING);
        put_u16(bytes + 6 + 4 * k, (uint16_t)MISSING);
    }
}
