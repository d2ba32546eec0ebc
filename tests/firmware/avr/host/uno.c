/* The UNO node's logic on a PC, for tests that need thousands of runs: a line that is a buffer, pins that are
 * variables. */
#include "board.h"
#include "json.h"
#include "line.h"
#include "node.h"
#include "number.h"

#include <stdlib.h>

enum { ROOM = 65536 };

uint8_t host_sent[ROOM];
unsigned long host_sent_length;

uint32_t host_uptime;
bool host_relay_out, host_relay_pin, host_feedback;
int host_feedback_follows = 1;
unsigned host_restarts, host_identified;

struct node host_node;

void line_byte(uint8_t byte)
{
    if (host_sent_length < ROOM)
        host_sent[host_sent_length++] = byte;
}

uint32_t board_uptime(void) { return host_uptime; }
uint16_t board_free_memory(void) { return 1000; }
enum board_reset board_reset_cause(void) { return RESET_POWER; }
void board_restart(void) { host_restarts++; }
void board_identify(void) { host_identified++; }
void board_wait(uint8_t ms) { (void)ms; }
void board_relay_fitted(bool fitted) { host_relay_out = fitted; }
bool board_relay_level(void) { return host_relay_pin; }
bool board_feedback_closed(void) { return host_feedback; }

void board_relay_drive(bool high)
{
    host_relay_pin = high;
    if (host_feedback_follows)
        host_feedback = high;
}

void host_start(void)
{
    host_uptime = 0;
    host_sent_length = 0;
    node_start(&host_node);
}

/* A window as the sums of a plain sine would be, so that the node knows who it is. */
void host_window(int32_t vv, int32_t ii, int32_t vi)
{
    struct sums sums = {.samples = 1000, .cycles = 22, .aligned = true, .vv = (uint32_t)vv,
                        .ii = (uint32_t)ii, .vi = vi, .vi_next = vi,
                        .vi_quarter = vi * 3 / 100}; /* at 50 Hz a lag of 88.5° */
    node_window(&host_node, &sums);
}

void host_work(void) { node_work(&host_node); }

void host_line(const char *line, uint8_t length, bool whole)
{
    node_line(&host_node, line, length, whole);
}

int32_t host_setting(int setting) { return host_node.settings.now.value[setting]; }
unsigned host_errors(void) { return host_node.errors; }

/* Number of members of a flat object, or -1. */
int host_json(const char *text, uint8_t length)
{
    struct json json;
    struct member member;
    int count = 0;
    json_start(&json, text, length);
    while (json_next(&json, &member)) {
        if (member.value.text < text || member.value.text + member.value.length > text + length)
            abort();
        count++;
    }
    return json.broken ? -1 : count;
}

/* Samples in, what the last whole windows measured out; gives how many windows there were. */
int host_measure(const uint16_t *v, const uint16_t *i, long samples, int32_t period, int32_t skew,
                 const struct calibration *cal, struct measured *results, int room)
{
    static struct window window;
    struct sensors sensors = NODE_SENSORS;
    struct sums sums;
    int count = 0;
    sensors.period = (uint16_t)period;
    sensors.skew = (uint16_t)skew;
    uint32_t rate = sensors.ticks_per_second / sensors.period;
    window_start(&window, 1, (uint16_t)(rate * 850 / 1000), (uint16_t)(rate * 950 / 1000));
    for (long n = 0; n < samples; n++) {
        window_add(&window, v[n], i[n]);
        if (window_fetch(&window, &sums) && count < room)
            measure(&sums, &sensors, cal, &results[count++]);
    }
    return count;
}

struct energy host_energy;

static const struct energy_policy POLICY = {
    .enough = 10000, .much = 40000, .little = 1000, .seconds = 60, .late_seconds = 300};

void host_energy_start(void) { energy_start(&host_energy, &POLICY, 7); }
void host_energy_add(int32_t mw, uint32_t ticks) { energy_add(&host_energy, mw, ticks, 2000000); }
void host_energy_second(void) { energy_second(&host_energy); }
bool host_energy_save(void) { return energy_save(&host_energy); }
bool host_energy_reset(void) { return energy_reset(&host_energy); }
uint64_t host_told_import(void) { return host_energy.saved.import; }
uint64_t host_told_export(void) { return host_energy.saved.export; }
uint64_t host_counted_import(void) { return host_energy.import; }
uint64_t host_counted_export(void) { return host_energy.export; }
uint32_t host_boot(void) { return host_energy.saved.boot; }
