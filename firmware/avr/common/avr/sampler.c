#include "sampler.h"

#include "sampling.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

enum { VOLTAGE_PIN = 0, CURRENT_PIN = 1 }; /* A0, A1 */

static uint16_t voltage;
static volatile uint8_t converting; /* 0: idle, 1: the voltage, 2: the current */
static volatile bool late, alive, busy;
static volatile uint16_t pairs;
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
    pairs++;
    ticks += PERIOD;
    if (ticks >= TICKS_PER_SECOND) {
        ticks -= TICKS_PER_SECOND;
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
        return;
    }
    converting = 0;
    if (busy) {
        late = true; /* the last pair is still being dealt with */
        return;
    }
    uint16_t v = voltage;
    busy = true;
    sei(); /* a bus must not wait for what follows */
    sampler_pair(v, code);
    busy = false;
    alive = true;
}

void sampler_start(void)
{
    DIDR0 = _BV(ADC0D) | _BV(ADC1D);
    ADCSRA = _BV(ADEN) | _BV(ADIE) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0); /* 125 kHz */
    OCR1A = PERIOD - 1;
    TCCR1B = _BV(WGM12) | _BV(CS11); /* 2 MHz, starts again at OCR1A */
    TIMSK1 = _BV(OCIE1A);
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

uint16_t sampler_pairs(void)
{
    return pairs;
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
    return now < TICKS_PER_SECOND / 2;
}
