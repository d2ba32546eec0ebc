#include "wave.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double FULL_SCALE = 5000; /* mV */

void wave_defaults(struct wave *w)
{
    memset(w, 0, sizeof *w);
    w->voltage = (struct signal){.rms = 230, .gain = 2.5, .dc = 2500, .held = -1};
    w->current = (struct signal){.rms = 5, .gain = 100, .dc = 2500, .held = -1};
    w->hz = 50;
    w->turned = drand48();
}

static double turns(const struct wave *w, double now)
{
    return w->turned + w->hz * (now - w->origin);
}

static bool signal_set(struct signal *s, const char *key, double value)
{
    if (!strcmp(key, "rms")) {
        s->rms = value;
    } else if (!strcmp(key, "gain")) {
        s->gain = value;
    } else if (!strcmp(key, "dc")) {
        s->dc = value;
    } else if (!strcmp(key, "hold")) {
        s->held = value;
    } else if (key[0] == 'h' || key[0] == 'a') {
        int n = atoi(key + 1);
        if (n < 2 || n > WAVE_HARMONICS)
            return false;
        (key[0] == 'h' ? s->h : s->angle)[n] = value;
    } else {
        return false;
    }
    return true;
}

bool wave_set(struct wave *w, double now, const char *key, double value)
{
    double turned = turns(w, now);
    w->turned = turned - floor(turned);
    w->origin = now;
    if (!strcmp(key, "hz"))
        w->hz = value;
    else if (!strcmp(key, "phi"))
        w->phi = value;
    else if (!strcmp(key, "noise"))
        w->noise = value;
    else if (key[0] == 'v')
        return signal_set(&w->voltage, key + 1, value);
    else if (key[0] == 'i')
        return signal_set(&w->current, key + 1, value);
    else
        return false;
    return true;
}

/* The signal at an angle (radians) of its fundamental, relative to the fundamental's amplitude. */
static double shape(const struct signal *s, double angle)
{
    double sum = sin(angle);
    for (int n = 2; n <= WAVE_HARMONICS; n++)
        if (s->h[n] != 0)
            sum += s->h[n] * sin(n * angle + s->angle[n] * M_PI / 180);
    return sum;
}

/* Near enough to a normal distribution: the sum of twelve uniform ones. */
static double gauss(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += drand48();
    return sum;
}

double wave_pin(const struct wave *w, double now, int channel)
{
    const struct signal *s = channel ? &w->current : &w->voltage;
    double turned = turns(w, now);
    double angle = 2 * M_PI * (turned - floor(turned)) - (channel ? w->phi * M_PI / 180 : 0);
    double pin = s->held >= 0 ? s->held : s->dc + M_SQRT2 * s->rms * s->gain * shape(s, angle);
    if (w->noise != 0 && s->held < 0)
        pin += w->noise * gauss();
    return fmin(fmax(pin, 0), FULL_SCALE);
}

struct truth wave_truth(const struct wave *w)
{
    const struct signal *v = &w->voltage, *i = &w->current;
    double phi = w->phi * M_PI / 180, vv = 1, ii = 1, vi = cos(phi), peak = 0;
    for (int n = 2; n <= WAVE_HARMONICS; n++) {
        vv += v->h[n] * v->h[n];
        ii += i->h[n] * i->h[n];
        vi += v->h[n] * i->h[n] * cos(n * phi + (v->angle[n] - i->angle[n]) * M_PI / 180);
    }
    for (int k = 0; k < 3600; k++)
        peak = fmax(peak, fabs(shape(i, k * 2 * M_PI / 3600)));
    struct truth t = {.vrms = v->rms * sqrt(vv), .irms = i->rms * sqrt(ii), .hz = w->hz};
    t.power = v->rms * i->rms * vi;
    t.reactive = v->rms * i->rms * sin(phi); /* of the fundamental; positive: the current lags */
    t.apparent = t.vrms * t.irms;
    t.factor = t.apparent > 0 ? t.power / t.apparent : 0;
    t.crest = M_SQRT2 * peak / sqrt(ii);
    return t;
}
