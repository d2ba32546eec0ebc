#include "measure.h"

#include <math.h>
#include <string.h>

static const float TURN = 6.2831853f, DEGREE = 0.017453293f;
static const float LOWEST_HZ = 40, HIGHEST_HZ = 70, ASSUMED_HZ = 50;
enum { STUCK_LSB = 410 }; /* a mean this far from the middle is no sensor's idle voltage */

/* n·Σxx − (Σx)², exact: variance · n². */
static float spread(uint16_t n, uint32_t xx, int32_t x)
{
    int64_t exact = (int64_t)n * xx - (int64_t)x * x;
    return exact > 0 ? (float)exact : 0;
}

/* Where between the sample before a crossing and the one after it the voltage was zero: the share
 * of a period that had passed since. */
static float since_zero(int16_t before, int16_t after)
{
    return after > before ? (float)after / (float)(after - before) : 0;
}

static float frequency(const struct sums *s, const struct sensors *sensors)
{
    if (!s->aligned || !s->cycles)
        return 0;
    float periods = s->samples + since_zero(s->first_before, s->first_after) -
                    since_zero(s->last_before, s->last_after);
    return s->cycles * (float)sensors->ticks_per_second / (periods * sensors->period);
}

/* For sines, the mean of v · i with the current taken τ after the voltage is
 *     c(τ) = P·cos ωτ + Q·sin ωτ
 * with P and Q as they would be without the delay.  P follows from two delays that are close together and
 * lie on either side of 0, so that harmonics are not distorted much:
 *     P = (sin a · c(b) − sin b · c(a)) / sin(a − b),    a, b = ωτ of the two
 * and Q from P and a third one, of about a quarter of a cycle. */
static float in_phase(float ca, float cb, float a, float b)
{
    return (sinf(a) * cb - sinf(b) * ca) / sinf(a - b);
}

static bool off_middle(int32_t sum, uint16_t n)
{
    int32_t mean = sum / (int32_t)n;
    return mean > STUCK_LSB || mean < -STUCK_LSB;
}

/* Peak of the current above its mean, over its RMS (LSB), in thousandths. */
static uint16_t crest(const struct sums *s, float rms)
{
    float mean = (float)s->i / s->samples;
    float above = s->i_high - mean, below = mean - s->i_low;
    return (uint16_t)((above > below ? above : below) / rms * 1000 + 0.5f);
}

void measure(const struct sums *s, const struct sensors *sensors, const struct calibration *cal,
             struct measured *r)
{
    memset(r, 0, sizeof *r);
    float n = s->samples;
    r->ticks = (uint32_t)s->samples * sensors->period;
    float v_lsb = sqrtf(spread(s->samples, s->vv, s->v)) / n;
    float i_lsb = sqrtf(spread(s->samples, s->ii, s->i)) / n;

    float volts = v_lsb * sensors->volts * cal->voltage_gain;
    bool live = volts >= sensors->least_volts;
    volts = fmaxf(volts + cal->voltage_offset, 0);
    r->mv_seen = lroundf(volts * 1000);
    if (!live)
        volts = 0;
    float amperes = i_lsb > 0 ? i_lsb * sensors->amperes * cal->current_gain + cal->current_offset : 0;
    if (!(amperes >= cal->dead_band) || amperes <= 0)
        amperes = 0;

    float hz = frequency(s, sensors);
    bool steady = live && hz >= LOWEST_HZ && hz <= HIGHEST_HZ;
    if (!live)
        r->flags |= FLAG_NO_VOLTAGE;
    else if (!steady)
        r->flags |= hz > 0 ? FLAG_OFF_FREQUENCY : FLAG_NO_ZERO_CROSSING;
    if (s->clipped_v || s->clipped_i)
        r->flags |= FLAG_CLIPPING;
    if (off_middle(s->v, s->samples) || off_middle(s->i, s->samples))
        r->flags |= FLAG_STUCK;
    if (s->lost)
        r->flags |= FLAG_OVERRUN;

    r->mv = lroundf(volts * 1000);
    r->ma = lroundf(amperes * 1000);
    r->mva = lroundf(volts * amperes * 1000);
    r->has_frequency = steady;
    r->mhz = steady ? lroundf(hz * 1000) : 0;
    if (amperes > 0)
        r->crest = crest(s, i_lsb);
    if (!live || amperes <= 0)
        return;

    /* Products of means are taken out exactly: Σv·Σi and Σv·Σ(the currents one sample earlier). */
    float scale = 1 / (n * n * v_lsb * i_lsb);
    float vi = (float)((int64_t)s->samples * s->vi - (int64_t)s->v * s->i) * scale;
    int32_t i_earlier = s->i - s->i_last + s->i_before;
    float next = (float)((int64_t)s->samples * s->vi_next - (int64_t)s->v * i_earlier) * scale;
    float quarter = (float)((int64_t)s->samples * s->vi_quarter - (int64_t)s->v * s->i) * scale;
    float tick = TURN * (steady ? hz : ASSUMED_HZ) / (float)sensors->ticks_per_second;
    float a = sensors->skew * tick, period = sensors->period * tick;
    float c = a + WINDOW_QUARTER * period;
    float p = in_phase(vi, next, a, a - period);
    float q = (quarter - p * cosf(c)) / sinf(c);
    /* The sensors' own shift turns the pair. */
    float x = cal->phase_shift * DEGREE;
    float factor = fmaxf(fminf(p * cosf(x) + q * sinf(x), 1), -1);
    float across = fmaxf(fminf(q * cosf(x) - p * sinf(x), 1), -1);
    /* Gains and offsets apply to volts and amperes; the power factor has neither. */
    r->mw = lroundf(factor * volts * amperes * 1000);
    r->mvar = lroundf(across * volts * amperes * 1000);
    r->has_factor = true;
    r->factor = lroundf(factor * 10000);
}
