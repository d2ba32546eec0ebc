#include "energy.h"

#include "storage.h"

#include <string.h>

void energy_start(struct energy *e, const struct energy_policy *policy, uint16_t random)
{
    memset(e, 0, sizeof *e);
    e->policy = policy;
    e->ring.offset = STORAGE_ENERGY;
    e->ring.slots = STORAGE_ENERGY_SLOTS;
    e->ring.length = sizeof e->saved;
    e->restored = ring_load(&e->ring, &e->saved);
    if (!e->restored) {
        memset(&e->saved, 0, sizeof e->saved);
        e->saved.boot = random;
    }
    e->saved.boot++;
    e->import = e->saved.import;
    e->export = e->saved.export;
    ring_save(&e->ring, &e->saved);
}

static void count(uint64_t *total, uint64_t *rest, uint64_t more, uint64_t per_mwh)
{
    *rest += more;
    if (*rest >= per_mwh) { /* a 64-bit division takes an AVR 100 us: only when it is due */
        *total += *rest / per_mwh;
        *rest %= per_mwh;
    }
}

void energy_add(struct energy *e, int32_t mw, uint32_t ticks, uint32_t ticks_per_second)
{
    uint64_t per_mwh = 3600ull * ticks_per_second;
    if (mw >= 0)
        count(&e->import, &e->import_rest, (uint64_t)mw * ticks, per_mwh);
    else
        count(&e->export, &e->export_rest, (uint64_t)-(int64_t)mw * ticks, per_mwh);
}

bool energy_save(struct energy *e)
{
    struct energy_record record = {e->saved.boot, e->import, e->export};
    e->seconds = 0;
    if (!ring_save(&e->ring, &record))
        return false; /* tried again when the next save is due, in the next slot */
    e->saved = record;
    return true;
}

bool energy_reset(struct energy *e)
{
    struct energy before = *e;
    e->import = e->export = e->import_rest = e->export_rest = 0;
    if (energy_save(e))
        return true;
    before.ring = e->ring;
    *e = before;
    return false;
}

void energy_second(struct energy *e)
{
    uint64_t unsaved = e->import - e->saved.import + (e->export - e->saved.export);
    if (e->seconds < UINT16_MAX)
        e->seconds++;
    const struct energy_policy *p = e->policy;
    if (unsaved >= p->much || (unsaved >= p->enough && e->seconds >= p->seconds) ||
        (unsaved >= p->little && e->seconds >= p->late_seconds))
        energy_save(e);
}
