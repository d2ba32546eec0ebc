#include "blocks.h"

#include "atomic.h"
#include "bytes.h"
#include "sampling.h"

#include <string.h>

enum { RATED_CURRENT = 350, RATED_VOLTAGE = 2760 }; /* 0.1 A, 0.1 V */
enum { LEAST_APPARENT = 500 };                      /* mVA that have a power factor */
enum { NONE_U16 = 0xFFFF, NONE_I16 = 0x8000 };
enum { STATE_AT = 5 };                              /* in the measurement */
static const uint32_t NONE_U32 = 0xFFFFFFFF, NONE_I32 = 0x80000000;

/* Exchange a block between two reads. */
static void publish(struct monitor *m, uint8_t block, const uint8_t *bytes)
{
    bool done = false;
    while (!done) {
        UNDISTURBED { done = slave_publish(&m->slave, block, bytes); }
    }
}

void publish_identity(struct monitor *m)
{
    uint8_t b[LENGTH_IDENTITY];
    uint16_t can = CAN_WAVEFORM | CAN_EXPORT | CAN_LED;
    if (!address_usable(m->switches))
        can |= CAN_ADDRESS;
    if (m->relay != RELAY_NONE)
        can |= CAN_RELAY;
    put_u32(b, 0x43494D45); /* "EMIC" */
    b[4] = VERSION_MAP;
    b[5] = LENGTH_IDENTITY + 2;
    put_u64(b + 6, m->store.now.id);
    put_u64(b + 14, ~m->store.now.id);
    b[22] = VERSION_MAJOR;
    b[23] = VERSION_MINOR;
    b[24] = VERSION_PATCH;
    b[25] = HARDWARE;
    put_u16(b + 26, can);
    put_u16(b + 28, RATED_CURRENT);
    put_u16(b + 30, RATED_VOLTAGE);
    put_u16(b + 32, PAIRS_PER_SECOND);
    b[34] = m->switches;
    b[35] = m->address;
    put_u16(b + 36, MONITOR_CYCLES);
    publish(m, BLOCK_IDENTITY, b);
}

static uint8_t state_of(const struct monitor *m)
{
    uint8_t state = capture_ready(&m->capture) ? STATE_WAVEFORM : 0;
    /* What the pin stands at, not what was commanded. */
    if (m->relay != RELAY_NONE && board_coil_driven() == (m->relay == RELAY_RESTS_OPEN))
        state |= STATE_RELAY;
    return state;
}

static uint16_t flags_of(const struct monitor *m)
{
    uint16_t flags = 0;
    uint8_t seen = m->last.flags;
    if (!m->sequence && !m->sums.samples)
        flags |= MAP_STARTING;
    if (seen & FLAG_NO_VOLTAGE)
        flags |= MAP_NO_VOLTAGE;
    if (seen & FLAG_NO_ZERO_CROSSING)
        flags |= MAP_NO_ZERO_CROSSING;
    if (seen & FLAG_OFF_FREQUENCY)
        flags |= MAP_FREQUENCY;
    if (m->sums.clipped_v)
        flags |= MAP_VOLTAGE_CLIPS;
    if (m->sums.clipped_i)
        flags |= MAP_CURRENT_CLIPS;
    if (seen & FLAG_OVERRUN)
        flags |= MAP_OVERRUN;
    if (!(seen & FLAG_NO_VOLTAGE) && m->sums.samples && m->sums.i_low == m->sums.i_high)
        flags |= MAP_STUCK;
    if (store_uncalibrated(&m->store))
        flags |= MAP_UNCALIBRATED;
    if (m->eeprom_lost)
        flags |= MAP_EEPROM;
    return flags;
}

/* Of the start; told until a bank has been read. */
static uint16_t start_flags(const struct monitor *m)
{
    uint16_t flags = MAP_RESTARTED;
    if (m->reset & RESET_BY_WATCHDOG)
        flags |= MAP_WATCHDOG;
    if ((m->reset & (RESET_LOW_SUPPLY | RESET_POWER_ON)) == RESET_LOW_SUPPLY)
        flags |= MAP_BROWN_OUT;
    return flags;
}

static uint16_t cap_u16(int32_t value)
{
    return value < 0 ? 0 : value >= NONE_U16 ? NONE_U16 - 1 : (uint16_t)value;
}

static void put_values(const struct monitor *m, uint8_t *b)
{
    const struct measured *r = &m->last;
    bool live = !(r->flags & FLAG_NO_VOLTAGE), flows = r->ma > 0;
    bool power = live || !flows;
    uint32_t apparent =
        live ? (uint32_t)r->mva : (uint32_t)((int64_t)r->mv_seen * r->ma / 1000);
    put_u16(b + 8, cap_u16((r->mv_seen + 5) / 10));
    put_u16(b + 10, r->has_frequency ? cap_u16((r->mhz + 5) / 10) : NONE_U16);
    put_u32(b + 12, (uint32_t)r->ma);
    put_u32(b + 16, power ? (uint32_t)r->mw : NONE_I32);
    put_u32(b + 20, power && r->has_frequency ? (uint32_t)r->mvar : NONE_I32);
    put_u32(b + 24, apparent);
    put_u16(b + 28, r->has_factor && apparent >= LEAST_APPARENT ? (uint16_t)r->factor : NONE_I16);
    put_u16(b + 30, flows && live ? cap_u16(r->crest) : NONE_U16);
}

static void put_nothing(uint8_t *b)
{
    put_u16(b + 8, NONE_U16);
    put_u16(b + 10, NONE_U16);
    put_u32(b + 12, NONE_U32);
    put_u32(b + 16, NONE_I32);
    put_u32(b + 20, NONE_I32);
    put_u32(b + 24, NONE_U32);
    put_u16(b + 28, NONE_I16);
    put_u16(b + 30, NONE_U16);
}

/* Largest magnitude of a window around its mean, in steps. */
static uint16_t peak(int16_t low, int16_t high, int32_t sum, uint16_t n, float per_step)
{
    float mean = (float)sum / n, above = high - mean, below = mean - low;
    return cap_u16((int32_t)((above > below ? above : below) * per_step + 0.5f));
}

/* The bank is put together anew if the last one is read to its end meanwhile: its peaks are then told. */
void publish_measurement(struct monitor *m)
{
    const struct sums *s = &m->sums;
    uint8_t b[LENGTH_MEASUREMENT];
    uint16_t own_v = 0, own_i = 0, v, i;
    bool measured = s->samples, was_read, done = false;
    m->flags = flags_of(m);
    if (measured) {
        own_v = peak(s->v_low, s->v_high, s->v, s->samples,
                     MONITOR_SENSORS.volts * m->calibration.voltage_gain * 10);
        if (m->last.ma > 0)
            own_i = peak(s->i_low, s->i_high, s->i, s->samples,
                         MONITOR_SENSORS.amperes * m->calibration.current_gain * 100);
    }
    while (!done) {
        UNDISTURBED { was_read = m->slave.measurement_read; }
        v = was_read || m->voltage_peak < own_v ? own_v : m->voltage_peak;
        i = was_read || m->current_peak < own_i ? own_i : m->current_peak;
        put_u16(b, m->tag);
        put_u16(b + 2, m->sequence);
        b[4] = (uint8_t)m->energy.saved.boot;
        b[STATE_AT] = state_of(m);
        put_u16(b + 6, m->flags | (m->read_once || was_read ? 0 : start_flags(m)));
        if (measured)
            put_values(m, b);
        else
            put_nothing(b);
        put_u48(b + 32, m->energy.import);
        put_u48(b + 38, m->energy.export);
        put_u16(b + 44, measured ? v : NONE_U16);
        put_u16(b + 46, measured ? i : NONE_U16);
        UNDISTURBED
        {
            if (m->slave.measurement_read == was_read && slave_publish(&m->slave, BLOCK_MEASUREMENT, b)) {
                m->slave.measurement_read = false;
                done = true;
            }
        }
    }
    m->read_once |= was_read;
    m->voltage_peak = v;
    m->current_peak = i;
}

void publish_state(struct monitor *m)
{
    bool done = false;
    while (!done) {
        UNDISTURBED { done = slave_patch(&m->slave, BLOCK_MEASUREMENT, STATE_AT, state_of(m)); }
    }
}

void publish_diagnostics(struct monitor *m)
{
    uint8_t b[LENGTH_DIAGNOSTICS];
    uint16_t errors;
    UNDISTURBED { errors = m->slave.errors; }
    put_u16(b, m->tag);
    put_u32(b + 2, m->second);
    b[6] = m->reset;
    b[7] = m->refused;
    put_u16(b + 8, errors < NONE_U16 ? errors : NONE_U16 - 1);
    put_u16(b + 10, m->overruns < NONE_U16 ? m->overruns : NONE_U16 - 1);
    put_u16(b + 12, m->sums.samples);
    put_u16(b + 14, board_longest_stretch());
    put_u16(b + 16, NONE_I16);
    publish(m, BLOCK_DIAGNOSTICS, b);
}

void publish_calibration(struct monitor *m)
{
    uint8_t b[LENGTH_CALIBRATION];
    const struct kept *k = &m->store.now;
    put_u16(b, m->tag);
    put_u32(b + 2, k->voltage_gain);
    put_u32(b + 6, k->current_gain);
    put_u16(b + 10, (uint16_t)k->phase_shift);
    put_u16(b + 12, k->dead_band);
    put_u32(b + 14, (uint32_t)k->current_zero);
    put_u32(b + 18, (uint32_t)k->voltage_zero);
    put_u16(b + 22, k->writes);
    put_u16(b + 24, NONE_U16);
    publish(m, BLOCK_CALIBRATION, b);
}

void publish_result(struct monitor *m)
{
    uint8_t b[LENGTH_RESULT];
    put_u16(b, m->tag);
    b[2] = m->opcode;
    b[3] = m->result;
    put_u16(b + 4, m->commands);
    put_u16(b + 6, m->capture.number);
    publish(m, BLOCK_RESULT, b);
}

static int32_t zero(int32_t sum, uint16_t n)
{
    return n ? (int32_t)((int64_t)sum * 1000 / n) : 0;
}

void describe_capture(struct monitor *m)
{
    const struct sums *s = &m->sums;
    struct capture_scale scale = {
        .tag = m->tag,
        .flags = m->flags,
        .microvolts = (uint32_t)(MONITOR_SENSORS.volts * m->calibration.voltage_gain * 1e6f + 0.5f),
        .microamperes = (uint32_t)(MONITOR_SENSORS.amperes * m->calibration.current_gain * 1e6f + 0.5f),
        .voltage_zero = zero(s->v, s->samples),
        .current_zero = zero(s->i, s->samples),
        /* SKEW / 2 MHz, and 0.01° of 50 Hz for each step of the phase shift; in 0.1 µs */
        .delay = SKEW * 5 + (int32_t)m->store.now.phase_shift * 50 / 9,
    };
    UNDISTURBED { m->capture.scale = scale; }
}
