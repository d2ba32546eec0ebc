/* The pace of sampling, the same for all boards with a 16 MHz crystal. */
#ifndef SAMPLING_H
#define SAMPLING_H

enum {
    TICKS_PER_SECOND = 2000000, /* timer 1 at 16 MHz / 8 */
    PERIOD = 883, /* ticks between two pairs: a prime, so that samples do not fall on the same spots of every cycle */
    SKEW = 224,   /* from voltage to current: a conversion of 13 cycles and the wait for the next, of 8 µs each */
    PAIRS_PER_SECOND = TICKS_PER_SECOND / PERIOD,
};

#endif
