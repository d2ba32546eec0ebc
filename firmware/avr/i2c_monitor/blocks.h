/* The blocks of docs/i2c-monitor.md, put together and published. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "monitor.h"

void publish_identity(struct monitor *m);
void publish_measurement(struct monitor *m);
/* The state in the measurement as it is now; all else of the bank, and its peaks, stay. */
void publish_state(struct monitor *m);
void publish_diagnostics(struct monitor *m);
void publish_calibration(struct monitor *m);
void publish_result(struct monitor *m);
/* What chunk 0 of the waveform says of its scales. */
void describe_capture(struct monitor *m);

#endif
