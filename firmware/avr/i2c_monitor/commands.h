/* What a master may order. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "monitor.h"

/* The bytes of a write, from the pointer to the CRC.  False if it was damaged or meant for another. */
bool command_execute(struct monitor *m, const uint8_t write[WRITE_COMMAND]);
/* Called again and again: what a command left to be done later. */
void command_follow(struct monitor *m);

#endif
