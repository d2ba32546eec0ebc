/* An optional relay: a minimum off time, and what it really stands at. */
#ifndef RELAY_H
#define RELAY_H

#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

struct relay {
    const struct settings *settings;
    bool commanded;
    bool seen;             /* what was read back last */
    bool at_start;         /* still to be closed once, by relay_at_start */
    uint16_t off_seconds;  /* since it opened; at a start unknown, so counted from there */
};

enum relay_end { RELAY_DONE, RELAY_NOT_FITTED, RELAY_TOO_SOON, RELAY_MISMATCH };

void relay_start(struct relay *r, const struct settings *settings);
bool relay_fitted(const struct relay *r);
enum relay_end relay_command(struct relay *r, bool on);
uint16_t relay_wait(const struct relay *r); /* seconds until it may close */
bool relay_read(const struct relay *r);
/* Called once a second; true if it stands at something else than at the last call or command. */
bool relay_second(struct relay *r);
/* Called after one of its settings has changed: it opens. */
void relay_settings_changed(struct relay *r);

#endif
