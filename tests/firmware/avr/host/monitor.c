/* The I2C monitor's logic on a PC: its interrupt is a function. */
#include "monitor.h"

#include <stdlib.h>

struct monitor host_monitor;
uint32_t host_uptime;
uint16_t host_pairs;
unsigned host_restarts;
uint8_t host_answers_at;
bool host_coil, host_coil_stuck; /* the pin stands where it is, whatever is meant */

uint32_t board_uptime(void) { return host_uptime; }
uint16_t board_pairs(void) { return host_pairs; }
void board_address(uint8_t address) { host_answers_at = address; }
void board_restart(void) { host_restarts++; }
uint16_t board_longest_stretch(void) { return 20; }
bool board_coil_driven(void) { return host_coil; }

bool board_coil(bool on)
{
    if (!host_coil_stuck)
        host_coil = on;
    return host_coil == on;
}

void capture_chunk(uint8_t chunk, uint8_t bytes[LENGTH_CHUNK])
{
    capture_bytes(&host_monitor.capture, chunk, bytes);
}

void host_start(uint64_t id, int relay, int reset)
{
    host_uptime = 0;
    host_pairs = 0;
    host_coil = host_coil_stuck = false;
    monitor_start(&host_monitor, 0, (enum relay)relay, (uint8_t)reset);
    if (!host_monitor.store.now.id)
        monitor_identify(&host_monitor, id);
    host_monitor.waits_since = 0;
}

/* The TWI's interrupt: what it sends in the low byte, whether it acknowledges above. */
int host_event(uint8_t status, uint8_t data)
{
    bool ack;
    uint8_t send = slave_event(&host_monitor.slave, status, data, host_pairs, &ack);
    return send | ack << 8;
}

/* A pair of samples, in the interrupt; true if a transaction was given up. */
bool host_pair(uint16_t v, uint16_t i)
{
    host_pairs++;
    capture_pair(&host_monitor.capture, v, i, 0);
    return slave_pair(&host_monitor.slave);
}

/* The main loop once; nothing is published while a read is under way, as it would wait. */
void host_work(void)
{
    if (!host_monitor.slave.reading)
        monitor_work(&host_monitor);
}

void host_window(uint32_t vv, uint32_t ii, int32_t vi)
{
    struct sums sums = {.samples = 453, .cycles = 10, .aligned = true, .vv = vv, .ii = ii, .vi = vi,
                        .vi_next = vi, .vi_quarter = vi / 33, .v_low = -160, .v_high = 160,
                        .i_low = -100, .i_high = 100};
    if (!host_monitor.slave.reading)
        monitor_window(&host_monitor, &sums);
}

unsigned host_errors(void) { return host_monitor.slave.errors; }
unsigned host_commands(void) { return host_monitor.commands; }
bool host_reading(void) { return host_monitor.slave.reading; }
unsigned host_kept(void)
{
    return host_monitor.store.now.dead_band ^ host_monitor.store.now.writes << 16;
}
