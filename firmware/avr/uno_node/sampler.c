#include "sampler.h"

#include "node.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

enum { VOLTAGE_PIN = 0, CURRENT_PIN = 1 }; /* A0, A1 */
enum { LEAST_PERMILLE = 850, MOST_PERMILLE = 950 }; /* of a second that a window lasts */

static struct window window;
static uint16_t voltage;
static volatile uint8_t converting; /* 0: idle, 1: the voltage, 2: the current */
static volatile bool late, alive;
static uint32_t ticks;
static volatile uint32_t seconds;

static inline void convert(uint8_t pin)
{
    ADMUX = _BV(REFS0) | pin; /* against the supply */
    ADCSRA |= _BV(ADSC);
}

/* The timer starts a pair.  (A timer can trigger the ADC without the processor, but then the channel
 * cannot change from one conversion to the next.) */
ISR(TIMER1_COMPA_vect)
{
    if (converting) {
        late = true;
    } else {
        converting = 1;
        convert(VOLTAGE_PIN);
    }
    ticks += NODE_SENSORS.period;
    if (ticks >= NODE_SENSORS.ticks_per_second) {
        ticks -= NODE_SENSORS.ticks_per_second;
        seconds++;
    }
}

ISR(ADC_vect)
{
    uint16_t code = ADC; /* before the channel changes */
    if (converting == 1) {
        converting = 2;
        convert(CURRENT_PIN);
        voltage = code;
    } else {
        converting = 0;
        alive = true;
        window_add(&window, voltage, code);
    }
}

void sampler_start(void)
{
    uint32_t rate = NODE_SENSORS.ticks_per_second / NODE_SENSORS.period;
    window_start(&window, (uint16_t)(rate * LEAST_PERMILLE / 1000),
                 (uint16_t)(rate * MOST_PERMILLE / 1000));
    DIDR0 = _BV(ADC0D) | _BV(ADC1D);
    ADCSRA = _BV(ADEN) | _BV(ADIE) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0); /* 125 kHz */
    OCR1A = NODE_SENSORS.period - 1;
    TCCR1B = _BV(WGM12) | _BV(CS11); /* 2 MHz, starts again at OCR1A */
    TIMSK1 = _BV(OCIE1A);
}

bool sampler_window(struct sums *sums)
{
    return window_fetch(&window, sums);
}

bool sampler_late(void)
{
    bool was = late;
    late = false;
    return was;
}

bool sampler_alive(void)
{
    bool was = alive;
    alive = false;
    return was;
}

uint32_t sampler_seconds(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = seconds; }
    return now;
}

bool sampler_first_half(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = ticks; }
    return now < NODE_SENSORS.ticks_per_second / 2;
}
