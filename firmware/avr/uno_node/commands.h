/* What a host may ask for. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "node.h"

/* Carry out a line and answer it; false if it was no message (then nothing is said). */
bool command_line(struct node *n, const char *line, uint8_t length);

#endif
