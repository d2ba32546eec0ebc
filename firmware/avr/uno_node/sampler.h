/* Takes pairs of samples, voltage then current, at an even pace, and keeps the time. */
#ifndef SAMPLER_H
#define SAMPLER_H

#include "window.h"

#include <stdbool.h>
#include <stdint.h>

void sampler_start(void);
/* A finished window, if there is one. */
bool sampler_window(struct sums *sums);
/* Whether a pair was late since the last call: the processor had too much to do. */
bool sampler_late(void);
/* Whether there has been a pair since the last call. */
bool sampler_alive(void);
uint32_t sampler_seconds(void); /* since the start */
bool sampler_first_half(void);  /* of the second that runs */

#endif
