/* All that a monitor knows, and what it does with a window, a command and a second. */
#ifndef MONITOR_H
#define MONITOR_H

#include "calibration.h"
#include "capture.h"
#include "energy.h"
#include "measure.h"
#include "slave.h"
#include "window.h"

#include <stdbool.h>
#include <stdint.h>

enum { VERSION_MAP = 1, VERSION_MAJOR = 1, VERSION_MINOR = 1, VERSION_PATCH = 0, HARDWARE = 1 };
enum { MONITOR_CYCLES = 10, MONITOR_BLIND_MS = 200 };

/* Flags of a measurement, docs/i2c-monitor.md. */
enum {
    MAP_NO_VOLTAGE = 1 << 0, MAP_NO_ZERO_CROSSING = 1 << 1, MAP_VOLTAGE_CLIPS = 1 << 2,
    MAP_CURRENT_CLIPS = 1 << 3, MAP_OVERRUN = 1 << 4, MAP_RESTARTED = 1 << 5, MAP_WATCHDOG = 1 << 6,
    MAP_BROWN_OUT = 1 << 7, MAP_UNCALIBRATED = 1 << 8, MAP_STUCK = 1 << 9, MAP_STARTING = 1 << 10,
    MAP_FREQUENCY = 1 << 11, MAP_EEPROM = 1 << 12,
};

enum {
    CAN_RELAY = 1 << 0, CAN_WAVEFORM = 1 << 1, CAN_EXPORT = 1 << 2, CAN_ADDRESS = 1 << 3,
    CAN_LED = 1 << 4,
};

/* Which contact of a relay the circuit hangs on, if there is one: where it stands without current in the coil. */
enum relay { RELAY_NONE, RELAY_RESTS_OPEN, RELAY_RESTS_CLOSED };

enum { STATE_RELAY = 1 << 0, STATE_WAVEFORM = 1 << 1 };

enum { RESET_POWER_ON = 1, RESET_EXTERNAL = 2, RESET_LOW_SUPPLY = 4, RESET_BY_WATCHDOG = 8 };

struct monitor {
    struct store store;
    struct energy energy;
    struct slave slave;
    struct capture capture;
    struct calibration calibration;
    struct sums sums;          /* of the last window */
    struct measured last;
    uint16_t tag;
    uint16_t sequence;
    uint16_t flags;            /* as published */
    uint16_t voltage_peak, current_peak; /* since a bank was read, 0.1 V, 0.01 A */
    bool read_once;
    bool overrun;
    uint16_t overruns;
    uint8_t reset, switches, address;
    enum relay relay;
    bool eeprom_lost;
    uint32_t second;
    uint8_t opcode, result, refused;
    uint16_t commands;
    bool unlocked;
    uint16_t unlocked_at;      /* pairs */
    uint8_t blink;             /* seconds to go */
    bool address_waits, restart_waits;
    uint16_t waits_since;      /* pairs */
};

extern const struct sensors MONITOR_SENSORS;

/* `switches`: the seven positions, `reset`: RESET_…  The id may still be missing.  A relay is at rest by now. */
void monitor_start(struct monitor *m, uint8_t switches, enum relay relay, uint8_t reset);
/* Give it an id, where it has none, from something random. */
void monitor_identify(struct monitor *m, uint64_t random);
void monitor_window(struct monitor *m, const struct sums *sums);
/* Called again and again: commands, seconds, what is due later. */
void monitor_work(struct monitor *m);

/* Given by the board. */
uint32_t board_uptime(void);
uint16_t board_pairs(void);
void board_address(uint8_t address); /* answer at it from now on */
void board_restart(void);
/* Send current through the relay's coil or not; false if the pin does not follow. */
bool board_coil(bool on);
bool board_coil_driven(void); /* the pin's level, whatever was meant */
uint16_t board_longest_stretch(void); /* µs */

#endif
