/* The board: pins, reset causes, watchdog, and the loop. */
#include "board.h"
#include "line.h"
#include "node.h"
#include "sampler.h"
#include "sampling.h"
#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/delay.h>

enum { RELAY = PD7, FEEDBACK = PB0, LED = PB5 }; /* D7, D8, D13 */
enum { IDENTIFY_SECONDS = 10 };
enum { LEAST_PERMILLE = 850, MOST_PERMILLE = 950 }; /* of a second that a window lasts */
#define COMMANDED 0x72657374ul /* in `marker`: the watchdog was asked to reset us */

static struct node node;
static struct window window;
static uint32_t identify_until;
static volatile uint8_t reset_flags __attribute__((section(".noinit")));
static volatile uint32_t marker __attribute__((section(".noinit")));
static enum board_reset cause;
extern char __heap_start;

/* Before anything else: the watchdog stays on after a reset of its own, at its shortest time. */
void early(void) __attribute__((naked, used, section(".init3")));
void early(void)
{
    reset_flags = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

/* The UNO's bootloader may have cleared the flags: then only our own mark tells something. */
static enum board_reset find_cause(void)
{
    bool asked = marker == COMMANDED;
    marker = 0;
    if (reset_flags & _BV(PORF))
        return RESET_POWER;
    if (asked)
        return RESET_COMMAND;
    if (reset_flags & _BV(WDRF))
        return RESET_WATCHDOG;
    if (reset_flags & _BV(BORF))
        return RESET_BROWN_OUT;
    return reset_flags & _BV(EXTRF) ? RESET_BUTTON : RESET_UNKNOWN;
}

void sampler_pair(uint16_t voltage, uint16_t current)
{
    window_add(&window, voltage, current);
}

/* What must go on while a line is being sent, too. */
static void breathe(void)
{
    struct sums sums;
    if (sampler_alive())
        wdt_reset(); /* without samples the watchdog bites */
    if (sampler_late())
        node.overrun = true;
    if (window_fetch(&window, &sums))
        node_window(&node, &sums);
}

void line_byte(uint8_t byte)
{
    while (!uart_room()) {
        breathe();
        sleep_mode();
    }
    uart_send(byte);
}

uint32_t board_uptime(void)
{
    return sampler_seconds();
}

uint16_t board_free_memory(void)
{
    return SP - (uint16_t)&__heap_start;
}

enum board_reset board_reset_cause(void)
{
    return cause;
}

void board_restart(void)
{
    while (!uart_idle())
        breathe();
    cli();
    marker = COMMANDED;
    wdt_enable(WDTO_15MS);
    wdt_reset(); /* the shorter time counts from here */
    for (;;) {
    }
}

void board_identify(void)
{
    identify_until = board_uptime() + IDENTIFY_SECONDS;
}

void board_wait(uint8_t ms)
{
    while (ms--) {
        _delay_ms(1);
        breathe();
    }
}

void board_relay_fitted(bool fitted)
{
    if (fitted)
        DDRD |= _BV(RELAY);
    else
        DDRD &= (uint8_t)~_BV(RELAY);
}

void board_relay_drive(bool high)
{
    if (high)
        PORTD |= _BV(RELAY);
    else
        PORTD &= (uint8_t)~_BV(RELAY);
}

bool board_relay_level(void)
{
    return PIND & _BV(RELAY);
}

bool board_feedback_closed(void)
{
    return !(PINB & _BV(FEEDBACK));
}

/* Lit while there is voltage; blinking when someone wants to find the board. */
static void light(void)
{
    bool on = !(node.last.flags & FLAG_NO_VOLTAGE);
    if (board_uptime() < identify_until)
        on = sampler_first_half();
    if (on)
        PORTB |= _BV(LED);
    else
        PORTB &= (uint8_t)~_BV(LED);
}

static void receive(void)
{
    static char line[NODE_LINE];
    static uint8_t length;
    static bool whole = true;
    int16_t byte;
    while ((byte = uart_receive()) >= 0) {
        if (byte == '\n') {
            node_line(&node, line, length, whole);
            length = 0;
            whole = true;
        } else if (length < NODE_LINE) {
            line[length++] = (char)byte;
        } else {
            whole = false;
        }
    }
}

int main(void)
{
    cause = find_cause();
    PORTB = _BV(FEEDBACK); /* pulled up */
    DDRB = _BV(LED);
    PORTC = (uint8_t)~(_BV(PC0) | _BV(PC1)) & 0x3F; /* unused analogue pins must not float */
    set_sleep_mode(SLEEP_MODE_IDLE);
    node_start(&node);
    uart_start();
    window_start(&window, 1, (uint32_t)PAIRS_PER_SECOND * LEAST_PERMILLE / 1000,
                 (uint32_t)PAIRS_PER_SECOND * MOST_PERMILLE / 1000);
    sampler_start();
    wdt_enable(WDTO_2S);
    sei();
    for (;;) {
        breathe();
        receive();
        node_work(&node);
        light();
        sleep_mode();
    }
}
