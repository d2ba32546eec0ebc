/* Mains voltage and load current as closed formulas of time, with harmonics, offset and noise. */
#ifndef WAVE_H
#define WAVE_H

#include <stdbool.h>

enum { WAVE_HARMONICS = 15 };

/* One of the two signals; harmonic n has amplitude h[n] relative to the fundamental and lags
 * nothing at angle[n] = 0 degrees (h[0] and h[1] are not used). */
struct signal {
    double rms;  /* of the fundamental, V or A */
    double h[WAVE_HARMONICS + 1];
    double angle[WAVE_HARMONICS + 1];
    double gain; /* mV at the pin per V or A; negative turns the sensor round */
    double dc;   /* mV at the pin when nothing flows */
    double held; /* mV: the pin stands at this whatever flows; negative: not held */
};

struct wave {
    struct signal voltage, current;
    double hz;
    double phi;   /* degrees that the current lags behind the voltage */
    double noise; /* mV, standard deviation at either pin */
    double origin, turned; /* phase in turns at the moment `origin` (s): frequency may change */
};

/* What a perfect meter reads. */
struct truth {
    double vrms, irms, hz, power, reactive, apparent, factor, crest;
};

void wave_defaults(struct wave *w);
/* Set one key (vrms irms hz phi noise vdc idc vgain igain vhold ihold vh3 va3 ih3 ia3 …) from
 * the moment `now` on, without a jump of the phase.  False if there is no such key. */
bool wave_set(struct wave *w, double now, const char *key, double value);
/* mV at the pin of channel 0 (voltage) or 1 (current) at the moment `now`, as the ADC sees it. */
double wave_pin(const struct wave *w, double now, int channel);
struct truth wave_truth(const struct wave *w);

#endif
