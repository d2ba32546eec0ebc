#include "calibration.h"

#include "storage.h"

#include <string.h>

enum { UNITY = 1000000, DEAD_BAND_MA = 100 /* a Hall sensor's own noise */ };
static const int32_t NOMINAL_MHZ = 50000;

void store_defaults(struct kept *kept)
{
    kept->voltage_gain = kept->current_gain = UNITY;
    kept->phase_shift = 0;
    kept->dead_band = DEAD_BAND_MA;
    kept->current_zero = kept->voltage_zero = 0;
}

void store_start(struct store *s)
{
    memset(s, 0, sizeof *s);
    s->ring.offset = STORAGE_SETTINGS;
    s->ring.slots = 2;
    s->ring.length = sizeof s->now;
    s->restored = ring_load(&s->ring, &s->now);
    if (s->restored)
        return;
    memset(&s->now, 0, sizeof s->now);
    store_defaults(&s->now);
    s->now.address = ADDRESS_LOWEST;
}

bool store_keep(struct store *s, const struct kept *changed)
{
    if (!memcmp(changed, &s->now, sizeof s->now))
        return true;
    if (!ring_save(&s->ring, changed))
        return false;
    s->now = *changed;
    return true;
}

bool store_uncalibrated(const struct store *s)
{
    return s->now.voltage_gain == UNITY && s->now.current_gain == UNITY;
}

void store_calibration(const struct store *s, int32_t mhz, struct calibration *cal)
{
    cal->voltage_gain = s->now.voltage_gain / 1e6f;
    cal->current_gain = s->now.current_gain / 1e6f;
    cal->voltage_offset = cal->current_offset = 0;
    cal->phase_shift = s->now.phase_shift / 100.0f * (mhz ? mhz : NOMINAL_MHZ) / NOMINAL_MHZ;
    cal->dead_band = s->now.dead_band / 1e3f;
}

bool address_usable(uint32_t address)
{
    return address >= ADDRESS_LOWEST && address <= ADDRESS_HIGHEST;
}
