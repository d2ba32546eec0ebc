#include "commands.h"

#include "atomic.h"
#include "blocks.h"
#include "bytes.h"
#include "crc16.h"
#include "sampling.h"

enum opcode {
    UNLOCK = 0x01, BLINK = 0x02, RELAY = 0x03, CAPTURE = 0x04, VOLTAGE_GAIN = 0x10, CURRENT_GAIN = 0x11,
    PHASE_SHIFT = 0x12, DEAD_BAND = 0x13, LEARN_ZERO = 0x18, DEFAULTS = 0x19, ADDRESS = 0x20,
    RESET_ENERGY = 0x21, RESTART = 0x22,
    FIRST_GUARDED = 0x10,
};

enum result { DONE, UNDER_WAY, UNKNOWN, RANGE, LOCKED, SWITCH, UNSUPPORTED, FAILED, NOT_AT_REST };

enum {
    UNLOCKED_PAIRS = 2 * PAIRS_PER_SECOND,
    ADDRESS_PAIRS = PAIRS_PER_SECOND / 200, /* 5 ms */
    RESTART_PAIRS = PAIRS_PER_SECOND / 2,   /* so that the result can still be read */
    SILENT_COUNTS = 3,                      /* RMS below which an input is without signal */
};

static const uint32_t KEY = 0x5AFEC0DE;

static enum result keep(struct monitor *m, struct kept *changed)
{
    changed->writes++;
    if (!store_keep(&m->store, changed))
        return FAILED;
    store_calibration(&m->store, m->last.mhz, &m->calibration);
    return DONE;
}

/* Whether a signal of n samples has next to no alternating part. */
static bool silent(uint16_t n, uint32_t xx, int32_t x)
{
    return n && (int64_t)n * xx - (int64_t)x * x < (int64_t)n * n * SILENT_COUNTS * SILENT_COUNTS;
}

static enum result learn_zero(struct monitor *m)
{
    const struct sums *s = &m->sums;
    struct kept changed = m->store.now;
    if (!silent(s->samples, s->vv, s->v) || !silent(s->samples, s->ii, s->i))
        return FAILED;
    changed.voltage_zero = (int32_t)((float)s->v / s->samples * MONITOR_SENSORS.volts *
                                     m->calibration.voltage_gain * 1e3f);
    changed.current_zero = (int32_t)((float)s->i / s->samples * MONITOR_SENSORS.amperes *
                                     m->calibration.current_gain * 1e6f);
    return keep(m, &changed);
}

static enum result change_address(struct monitor *m, uint32_t argument)
{
    struct kept changed = m->store.now;
    if (address_usable(m->switches))
        return SWITCH;
    if (!address_usable(argument))
        return RANGE;
    changed.address = (uint8_t)argument;
    if (!store_keep(&m->store, &changed))
        return FAILED;
    m->address_waits = true;
    return DONE;
}

/* What stands where it should not is let go, and the bank that can be read says so before the result does. */
static enum result switch_relay(struct monitor *m, uint32_t closed)
{
    if (m->relay == RELAY_NONE)
        return UNSUPPORTED;
    if (closed > 1)
        return RANGE;
    bool follows = board_coil(closed == (m->relay == RELAY_RESTS_OPEN));
    if (!follows)
        board_coil(false);
    publish_state(m);
    return follows ? DONE : FAILED;
}

static enum result capture(struct monitor *m, uint32_t cycles)
{
    if (cycles != 1 && cycles != 2)
        return RANGE;
    describe_capture(m);
    UNDISTURBED { capture_begin(&m->capture, (uint8_t)cycles); }
    return UNDER_WAY;
}

static enum result execute(struct monitor *m, uint8_t opcode, uint32_t argument)
{
    struct kept changed = m->store.now;
    int32_t whole = (int32_t)argument;
    switch (opcode) {
    case UNLOCK:
        if (argument != KEY)
            return RANGE;
        m->unlocked = true;
        UNDISTURBED { m->unlocked_at = board_pairs(); }
        return DONE;
    case BLINK:
        if (argument > 60)
            return RANGE;
        m->blink = (uint8_t)argument;
        return DONE;
    case RELAY:
        return switch_relay(m, argument);
    case CAPTURE:
        return capture(m, argument);
    case VOLTAGE_GAIN:
        if (argument < 500000 || argument > 2000000)
            return RANGE;
        changed.voltage_gain = argument;
        return keep(m, &changed);
    case CURRENT_GAIN:
        if (argument < 100000 || argument > 10000000)
            return RANGE;
        changed.current_gain = argument;
        return keep(m, &changed);
    case PHASE_SHIFT:
        if (whole < -2000 || whole > 2000)
            return RANGE;
        changed.phase_shift = (int16_t)whole;
        return keep(m, &changed);
    case DEAD_BAND:
        if (argument > 10000)
            return RANGE;
        changed.dead_band = (uint16_t)argument;
        return keep(m, &changed);
    case LEARN_ZERO:
        return argument ? RANGE : learn_zero(m);
    case DEFAULTS:
        if (argument)
            return RANGE;
        store_defaults(&changed);
        return keep(m, &changed);
    case ADDRESS:
        return change_address(m, argument);
    case RESET_ENERGY:
        if (argument)
            return RANGE;
        return energy_reset(&m->energy) ? DONE : FAILED;
    case RESTART:
        if (argument)
            return RANGE;
        if (m->relay != RELAY_NONE && board_coil_driven())
            return NOT_AT_REST; /* a restart would move it */
        m->restart_waits = true;
        return DONE;
    default:
        return UNKNOWN;
    }
}

static bool known(uint8_t opcode)
{
    return (opcode >= UNLOCK && opcode <= CAPTURE) || (opcode >= VOLTAGE_GAIN && opcode <= DEAD_BAND) ||
           opcode == LEARN_ZERO || opcode == DEFAULTS || (opcode >= ADDRESS && opcode <= RESTART);
}

static bool later(struct monitor *m, uint16_t since, uint16_t pairs)
{
    (void)m;
    uint16_t now;
    UNDISTURBED { now = board_pairs(); }
    return (uint16_t)(now - since) > pairs;
}

bool command_execute(struct monitor *m, const uint8_t write[WRITE_COMMAND])
{
    uint16_t crc = write[WRITE_COMMAND - 2] | (uint16_t)write[WRITE_COMMAND - 1] << 8;
    if (crc != crc16(write, WRITE_COMMAND - 2))
        return false;
    if (get_u64(write + 2) != m->store.now.id)
        return true; /* for another one: none of our business */
    uint8_t opcode = write[1];
    bool open = m->unlocked && !later(m, m->unlocked_at, UNLOCKED_PAIRS);
    m->unlocked = false;
    m->opcode = opcode;
    if (opcode >= FIRST_GUARDED && known(opcode) && !open)
        m->result = LOCKED;
    else
        m->result = execute(m, opcode, get_u32(write + 10));
    if (m->result > UNDER_WAY)
        m->refused++;
    m->commands++;
    if (m->address_waits || m->restart_waits)
        UNDISTURBED { m->waits_since = board_pairs(); }
    publish_calibration(m);
    publish_result(m);
    return true;
}

void command_follow(struct monitor *m)
{
    if (m->result == UNDER_WAY && !capture_busy(&m->capture)) {
        m->result = DONE;
        publish_result(m);
    }
    if (m->unlocked && later(m, m->unlocked_at, UNLOCKED_PAIRS))
        m->unlocked = false;
    if (m->address_waits && later(m, m->waits_since, ADDRESS_PAIRS)) {
        m->address_waits = false;
        m->address = m->store.now.address;
        publish_identity(m);
        board_address(m->address);
    }
    if (m->restart_waits && later(m, m->waits_since, RESTART_PAIRS)) {
        energy_save(&m->energy);
        board_restart();
    }
}
