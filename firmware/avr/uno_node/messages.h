/* The messages that the node sends (docs/bridge-protocol.md). */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "json.h"
#include "node.h"

/* In the bare form only readings and answers are sent. */
void message_hello(struct node *n);
/* The first there is: the hello, and why it started, where that deserves an event. */
void message_start(struct node *n);
void message_reading(struct node *n);
void message_relay(struct node *n, const char *reason);
void message_health(struct node *n);
void message_answer(struct node *n, const struct answer *answer);
/* Nothing is kept, so whatever is asked for again is gone; the numbers as they were asked for. */
void message_gone(struct node *n, struct slice boot, struct slice from, struct slice to);

#endif
