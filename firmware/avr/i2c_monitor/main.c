/* The board: pins, the TWI's interrupt, reset causes, watchdog, and the loop. */
#include "monitor.h"
#include "atomic.h"
#include "sampler.h"
#include "sampling.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/delay.h>

enum { LED = PB5, COIL = PB1, ADDRESS_LINES = 7 };
enum { RELAY_STRAP = PC2, CLOSED_STRAP = PC3 }; /* against ground: there is a relay; it rests closed */
enum { ENTRY_US = 12 }; /* from SCL held to the first instruction measured, another interrupt in the way */
#define COMMANDED 0x72657374ul /* in `marker`: the watchdog was asked to reset us */

static struct monitor monitor;
static struct window window;
static volatile int16_t middle; /* of the voltage, in counts: for the capture */
static volatile uint16_t longest; /* ticks in the TWI's interrupt */
static volatile uint8_t reset_flags __attribute__((section(".noinit")));
static volatile uint32_t marker __attribute__((section(".noinit")));
static volatile uint32_t remains __attribute__((section(".noinit")));

/* Before anything else: the watchdog stays on after a reset of its own, at its shortest time.  What RAM holds
 * after power-up differs from chip to chip and from start to start. */
void early(void) __attribute__((naked, used, section(".init3")));
void early(void)
{
    reset_flags = MCUSR;
    MCUSR = 0;
    wdt_disable();
    uint32_t hash = 0;
    for (const uint8_t *at = (const uint8_t *)RAMSTART; at < (const uint8_t *)RAMEND; at++)
        hash = hash * 33 + *at;
    remains = hash;
}

uint32_t board_uptime(void)
{
    return sampler_seconds();
}

uint16_t board_pairs(void)
{
    return sampler_pairs();
}

uint16_t board_longest_stretch(void)
{
    uint16_t ticks;
    UNDISTURBED { ticks = longest; }
    return ticks / (TICKS_PER_SECOND / 1000000) + ENTRY_US;
}

bool board_coil_driven(void)
{
    return PINB & _BV(COIL);
}

bool board_coil(bool on)
{
    if (on)
        PORTB |= _BV(COIL);
    else
        PORTB &= (uint8_t)~_BV(COIL);
    _delay_us(10); /* until the transistor's input has followed */
    return board_coil_driven() == on;
}

static void listen(void)
{
    TWCR = _BV(TWEA) | _BV(TWEN) | _BV(TWIE);
}

void board_address(uint8_t address)
{
    TWAR = (uint8_t)(address << 1); /* the lowest bit stays 0: no general calls */
}

void board_restart(void)
{
    cli();
    marker = COMMANDED;
    wdt_enable(WDTO_15MS);
    wdt_reset(); /* the shorter time counts from here */
    for (;;) {
    }
}

void capture_chunk(uint8_t chunk, uint8_t bytes[LENGTH_CHUNK])
{
    capture_bytes(&monitor.capture, chunk, bytes);
}

static inline void note_stretch(uint16_t from)
{
    uint16_t to = TCNT1, took = to >= from ? to - from : to + PERIOD - from;
    if (took > longest)
        longest = took;
}

/* SCL is held low until TWCR is written: from byte to byte of a read what has to be worked out is so afterwards. */
ISR(TWI_vect)
{
    uint16_t from = TCNT1;
    uint8_t status = TWSR & 0xF8;
    bool ack;
    if (status == TWI_SENT) {
        TWDR = monitor.slave.ready;
        TWCR = _BV(TWINT) | _BV(TWEA) | _BV(TWEN) | _BV(TWIE);
        note_stretch(from);
        slave_event(&monitor.slave, status, 0, sampler_pairs(), &ack);
        return;
    }
    uint8_t send = slave_event(&monitor.slave, status, TWDR, sampler_pairs(), &ack);
    uint8_t control = _BV(TWINT) | _BV(TWEN) | _BV(TWIE);
    if (ack)
        control |= _BV(TWEA);
    if (status == TWI_BUS_ERROR)
        control |= _BV(TWSTO);
    if (status == TWI_READ || status == TWI_READ_AFTER_LOSS)
        TWDR = send;
    note_stretch(from);
    TWCR = control;
}

void sampler_pair(uint16_t voltage, uint16_t current)
{
    bool stuck;
    window_add(&window, voltage, current);
    capture_pair(&monitor.capture, voltage, current, middle);
    UNDISTURBED
    {
        stuck = slave_pair(&monitor.slave);
        if (stuck) {
            TWCR = 0; /* lets SDA and SCL go */
            listen();
        }
    }
}

/* ON connects to ground. */
static uint8_t read_switches(void)
{
    uint8_t lines = (PIND >> PD2) | (uint8_t)((PINB & _BV(PB0)) << 6);
    return (uint8_t)~lines & ((1 << ADDRESS_LINES) - 1);
}

static enum relay read_straps(void)
{
    uint8_t open = PINC;
    if (open & _BV(RELAY_STRAP))
        return RELAY_NONE;
    return open & _BV(CLOSED_STRAP) ? RELAY_RESTS_OPEN : RELAY_RESTS_CLOSED;
}

static void light(void)
{
    bool on = monitor.blink ? sampler_first_half() : !(monitor.last.flags & FLAG_NO_VOLTAGE);
    if (on)
        PORTB |= _BV(LED);
    else
        PORTB &= (uint8_t)~_BV(LED);
}

static void take_window(void)
{
    struct sums sums;
    if (!window_fetch(&window, &sums))
        return;
    int16_t mean = (int16_t)(sums.v / (int32_t)sums.samples);
    UNDISTURBED { middle = mean; }
    if (!monitor.store.now.id) {
        uint64_t random = (uint64_t)window_noise(&sums, remains) << 32 | window_noise(&sums, ~remains);
        monitor_identify(&monitor, random);
        listen(); /* not before it can be told who answers */
    }
    monitor_window(&monitor, &sums);
}

int main(void)
{
    uint8_t causes = reset_flags & 0x0F;
    if (marker == COMMANDED)
        causes &= (uint8_t)~RESET_BY_WATCHDOG;
    marker = 0;
    PORTD = 0xFC; /* the switch's lines are pulled up */
    PORTB = _BV(PB0);
    DDRB = _BV(LED);
    PORTC = _BV(RELAY_STRAP) | _BV(CLOSED_STRAP); /* SDA and SCL are pulled up outside */
    set_sleep_mode(SLEEP_MODE_IDLE);
    _delay_ms(1); /* until the lines of switch and straps have risen */
    enum relay relay = read_straps();
    if (relay != RELAY_NONE)
        DDRB |= _BV(COIL); /* low: without current */
    window_start(&window, MONITOR_CYCLES, 0, (uint32_t)PAIRS_PER_SECOND * MONITOR_BLIND_MS / 1000);
    wdt_enable(WDTO_2S);
    monitor_start(&monitor, read_switches(), relay, causes);
    sampler_start();
    board_address(monitor.address);
    if (monitor.store.now.id)
        listen();
    sei();
    for (;;) {
        if (sampler_alive())
            wdt_reset(); /* without samples the watchdog bites */
        if (sampler_late())
            monitor.overrun = true;
        take_window();
        monitor_work(&monitor);
        light();
        sleep_mode();
    }
}
