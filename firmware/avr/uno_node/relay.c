#include "relay.h"

#include "board.h"

enum { SETTLE_MS = 60 }; /* a power relay moves in 5 to 20 ms and bounces a little */

static int32_t value(const struct relay *r, enum setting setting)
{
    return r->settings->now.value[setting];
}

bool relay_fitted(const struct relay *r)
{
    return value(r, RELAY_OUTPUT) != RELAY_NONE;
}

static bool active_low(const struct relay *r)
{
    return value(r, RELAY_OUTPUT) == RELAY_ACTIVE_LOW;
}

static void drive(struct relay *r, bool on)
{
    r->commanded = on;
    board_relay_drive(on != active_low(r));
}

void relay_settings_changed(struct relay *r)
{
    drive(r, false); /* the level first, so that the pin never gives a pulse */
    board_relay_fitted(relay_fitted(r));
    r->off_seconds = 0;
    r->seen = relay_read(r);
}

void relay_start(struct relay *r, const struct settings *settings)
{
    r->settings = settings;
    r->at_start = value(r, RELAY_AT_START);
    relay_settings_changed(r);
}

bool relay_read(const struct relay *r)
{
    if (!relay_fitted(r))
        return false;
    if (value(r, RELAY_FEEDBACK))
        return board_feedback_closed();
    return board_relay_level() != active_low(r);
}

uint16_t relay_wait(const struct relay *r)
{
    uint16_t least = (uint16_t)value(r, MINIMUM_OFF_TIME);
    return r->commanded || r->off_seconds >= least ? 0 : least - r->off_seconds;
}

enum relay_end relay_command(struct relay *r, bool on)
{
    if (!relay_fitted(r))
        return RELAY_NOT_FITTED;
    if (on && relay_wait(r))
        return RELAY_TOO_SOON;
    r->at_start = false;
    if (!on && r->commanded)
        r->off_seconds = 0;
    drive(r, on);
    board_wait(SETTLE_MS);
    r->seen = relay_read(r);
    return r->seen == on ? RELAY_DONE : RELAY_MISMATCH;
}

bool relay_second(struct relay *r)
{
    if (!r->commanded && r->off_seconds < UINT16_MAX)
        r->off_seconds++;
    if (r->at_start && relay_fitted(r) && !relay_wait(r)) {
        r->at_start = false;
        drive(r, true);
        board_wait(SETTLE_MS);
    }
    bool now = relay_read(r);
    bool changed = now != r->seen;
    r->seen = now;
    return changed;
}
