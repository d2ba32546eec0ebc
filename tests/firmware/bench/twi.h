/* An I2C master that talks to the nodes' TWI slave hardware, good transactions and bad ones. */
#ifndef TWI_H
#define TWI_H

#include "node.h"

struct bus {
    struct node *nodes;
    int count;
    double hz;          /* of SCL */
    double stretched;   /* us that the slave held SCL low in the last transaction, summed up */
    double longest;     /* us of the longest single stretch */
};

enum twi_end { TWI_OK, TWI_NACK_ADDRESS, TWI_NACK_DATA, TWI_TIMEOUT };

/* How a master goes wrong. */
enum twi_fault {
    TWI_NO_FAULT,
    TWI_STOP_IN_BYTE, /* STOP in the middle of the last byte: a bus error for the slave */
    TWI_VANISH,       /* the master falls silent after the last byte: no STOP at all */
};

/* Write `nw` bytes, then (after a repeated START) read `nr`; either may be 0. */
enum twi_end twi_transfer(struct bus *bus, int address, const uint8_t *w, int nw, uint8_t *r, int nr,
                          enum twi_fault fault);
/* A write to address 0, taken by every node that listens to general calls. */
void twi_general_call(struct bus *bus, const uint8_t *w, int nw);
avr_cycle_count_t bus_now(const struct bus *bus);
void bus_run(struct bus *bus, avr_cycle_count_t until);

#endif
