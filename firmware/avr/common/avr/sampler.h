/* Takes pairs of samples, voltage then current, at an even pace, and keeps the time. */
#ifndef SAMPLER_H
#define SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

void sampler_start(void);
/* Given by the board: takes a pair of codes.  Called in an interrupt that others may interrupt. */
void sampler_pair(uint16_t voltage, uint16_t current);
/* Whether a pair was late since the last call: the processor had too much to do. */
bool sampler_late(void);
/* Whether there has been a pair since the last call. */
bool sampler_alive(void);
/* Pairs since the start; for short times, it goes round every 28 s.  For use with interrupts off. */
uint16_t sampler_pairs(void);
uint32_t sampler_seconds(void); /* since the start */
bool sampler_first_half(void);  /* of the second that runs */

#endif
