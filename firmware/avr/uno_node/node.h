/* All that the node knows, and what it does with a window, a second and a line. */
#ifndef NODE_H
#define NODE_H

#include "energy.h"
#include "measure.h"
#include "relay.h"
#include "settings.h"
#include "window.h"

#include <stdbool.h>
#include <stdint.h>

#define NODE_VERSION "1.0.0"
#define NODE_METER "main"

enum {
    NODE_LINE = 192,      /* bytes of the longest line that is looked at */
    NODE_ANSWERS = 4,     /* commands whose answers are remembered */
    NODE_HEALTH_FIRST = 5, NODE_HEALTH_SECONDS = 60, /* after the start, and from then on */
};

enum node_error {
    ERROR_NONE, ERROR_UNKNOWN_METER, ERROR_UNKNOWN_CONTROL, ERROR_BAD_VALUE,
    ERROR_MINIMUM_OFF_TIME, ERROR_MISMATCH, ERROR_UNSUPPORTED, ERROR_NO_ANSWER,
};

/* The answer to a command. */
struct answer {
    int32_t id;
    uint32_t at;     /* uptime, s */
    uint8_t error;   /* enum node_error */
    bool has_value;
    uint8_t decimals;
    int32_t value;
    uint16_t wait;   /* s, for ERROR_MINIMUM_OFF_TIME */
};

struct node {
    struct settings settings;
    struct energy energy;
    struct relay relay;
    struct calibration calibration;
    struct measured last;  /* the newest reading */
    bool pending;          /* it is still to be sent */
    bool introduced;       /* the hello has been said */
    bool first;            /* no reading has been sent since the start */
    bool overrun;          /* sampling was late since the last reading */
    uint32_t seq;
    uint32_t second;       /* uptime that node_second has seen */
    uint16_t errors;       /* lines that could not be used */
    struct answer answers[NODE_ANSWERS];
    uint8_t next_answer;
};

extern const struct sensors NODE_SENSORS;

void node_start(struct node *n);
/* Measure a window and count its energy; quick, and writes nothing to the line or the EEPROM. */
void node_window(struct node *n, const struct sums *sums);
/* Say what is to be said and do what is due; called again and again. */
void node_work(struct node *n);
/* A line from the host, without its line feed; `whole` is false if it was too long. */
void node_line(struct node *n, const char *line, uint8_t length, bool whole);

#endif
