#include "node.h"

#include "board.h"
#include "commands.h"
#include "messages.h"
#include "sampling.h"

#include <string.h>

/* What has been saved is told, in steps that Home Assistant takes for plausible: at most 40 Wh. */
static const struct energy_policy ENERGY = {
    .enough = 10000, .much = 40000, .little = 1000, .seconds = 60, .late_seconds = 300};

/* 5 V / 1024 per step; a ZMPT101B module turned to 2.5 mV per volt, an ACS712-20A with 100 mV per ampere. */
const struct sensors NODE_SENSORS = {
    .ticks_per_second = TICKS_PER_SECOND,
    .period = PERIOD,
    .skew = SKEW,
    .volts = 5.0f / 1024 / 0.0025f,
    .amperes = 5.0f / 1024 / 0.1f,
    .least_volts = 10,
};

void node_start(struct node *n)
{
    memset(n, 0, sizeof *n);
    n->first = true;
    settings_start(&n->settings);
    settings_calibration(&n->settings, &n->calibration);
    relay_start(&n->relay, &n->settings);
}

/* Who it is and which start this is can wait for the first window, whose noise may be needed for it. */
static void introduce(struct node *n, const struct sums *sums)
{
    uint32_t random = window_noise(sums, 0);
    if (!n->settings.now.identity)
        settings_identify(&n->settings, random);
    energy_start(&n->energy, &ENERGY, (uint16_t)(random >> 16));
}

void node_window(struct node *n, const struct sums *sums)
{
    if (!n->energy.ring.slots)
        introduce(n, sums);
    measure(sums, &NODE_SENSORS, &n->calibration, &n->last);
    energy_add(&n->energy, n->last.mw, n->last.ticks, TICKS_PER_SECOND);
    if (settings_uncalibrated(&n->settings))
        n->last.flags |= FLAG_UNCALIBRATED;
    if (n->overrun)
        n->last.flags |= FLAG_OVERRUN;
    n->overrun = false;
    n->pending = true;
}

static void second(struct node *n)
{
    energy_second(&n->energy);
    if (relay_second(&n->relay))
        message_relay(n, "feedback");
    if (n->second % NODE_HEALTH_SECONDS == NODE_HEALTH_FIRST)
        message_health(n);
}

void node_work(struct node *n)
{
    if (!n->energy.ring.slots)
        return; /* there has been no window yet */
    if (!n->introduced) {
        n->introduced = true;
        message_start(n);
    }
    if (n->pending) {
        n->pending = false;
        message_reading(n);
        n->first = false;
    }
    while (n->second < board_uptime()) {
        n->second++;
        second(n);
    }
}

void node_line(struct node *n, const char *line, uint8_t length, bool whole)
{
    if (!n->energy.ring.slots)
        return; /* nobody can be answered who does not know who we are */
    if (!whole || !command_line(n, line, length))
        n->errors += n->errors < UINT16_MAX;
}
