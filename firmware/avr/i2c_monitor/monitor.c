#include "monitor.h"

#include "atomic.h"
#include "blocks.h"
#include "commands.h"
#include "crc16.h"
#include "sampling.h"

#include <string.h>

/* 5 V / 1024 per step; a voltage transformer of 2.5 mV per volt, an ACS758-050B with 40 mV per ampere. */
const struct sensors MONITOR_SENSORS = {
    .ticks_per_second = TICKS_PER_SECOND,
    .period = PERIOD,
    .skew = SKEW,
    .volts = 5.0f / 1024 / 0.0025f,
    .amperes = 5.0f / 1024 / 0.04f,
    .least_volts = 23, /* a tenth of 230 V */
};

/* What has been counted is told; a master notices a restart by the boot number. */
static const struct energy_policy ENERGY = {
    .enough = 10000, .much = UINT32_MAX, .little = 1, .seconds = 60, .late_seconds = 900};

enum { FAILING_SECONDS = 10 }; /* between two saves because of mains that goes */

static void tag(struct monitor *m)
{
    m->tag = crc16(&m->store.now.id, sizeof m->store.now.id);
    publish_identity(m);
    publish_measurement(m);
    publish_diagnostics(m);
    publish_calibration(m);
    publish_result(m);
    describe_capture(m);
}

void monitor_start(struct monitor *m, uint8_t switches, enum relay relay, uint8_t reset)
{
    memset(m, 0, sizeof *m);
    m->reset = reset;
    m->switches = switches;
    m->relay = relay;
    store_start(&m->store);
    m->address = address_usable(switches) ? switches : m->store.now.address;
    if (!address_usable(m->address))
        m->address = ADDRESS_LOWEST;
    store_calibration(&m->store, 0, &m->calibration);
    energy_start(&m->energy, &ENERGY, 0);
    /* On a new chip neither is there; on one that has lost something, one is. */
    m->eeprom_lost = m->store.restored != m->energy.restored;
    tag(m);
}

void monitor_identify(struct monitor *m, uint64_t random)
{
    struct kept changed = m->store.now;
    changed.id = random == 0 || random == UINT64_MAX ? 1 : random;
    store_keep(&m->store, &changed);
    m->store.now.id = changed.id; /* for this start even if it cannot be kept */
    tag(m);
}

void monitor_window(struct monitor *m, const struct sums *sums)
{
    bool was_live = m->sums.samples && !(m->last.flags & FLAG_NO_VOLTAGE);
    m->sums = *sums;
    measure(sums, &MONITOR_SENSORS, &m->calibration, &m->last);
    if (m->overrun)
        m->last.flags |= FLAG_OVERRUN;
    m->overrun = false;
    if (m->last.flags & FLAG_OVERRUN)
        m->overruns += m->overruns < UINT16_MAX;
    energy_add(&m->energy, m->last.mw, m->last.ticks, TICKS_PER_SECOND);
    store_calibration(&m->store, m->last.mhz, &m->calibration);
    m->sequence++;
    publish_measurement(m);
    publish_diagnostics(m);
    /* The mains has gone, and the supply may follow: save while it lasts. */
    if (was_live && m->last.flags & FLAG_NO_VOLTAGE && m->energy.seconds >= FAILING_SECONDS)
        energy_save(&m->energy);
}

void monitor_work(struct monitor *m)
{
    bool waits;
    uint8_t write[WRITE_COMMAND];
    UNDISTURBED
    {
        waits = m->slave.command_waits;
        memcpy(write, m->slave.command, sizeof write);
        m->slave.command_waits = false;
    }
    if (waits && !command_execute(m, write))
        UNDISTURBED { m->slave.errors += m->slave.errors < UINT16_MAX; }
    command_follow(m);
    while (m->second < board_uptime()) {
        m->second++;
        m->blink -= m->blink > 0;
        energy_second(&m->energy);
    }
}
