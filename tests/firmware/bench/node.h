/* One simulated ATmega328P: its ADC pins, UART, EEPROM, digital pins and power supply. */
#ifndef NODE_H
#define NODE_H

#include "wave.h"

#include <avr_twi.h>
#include <sim_avr.h>
#include <sim_elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_FREQUENCY 16000000.0

enum { NODE_EEPROM = 1024, NODE_PORTS = 3 };

struct bytes {
    uint8_t *data;
    size_t length, room, taken;
};

struct node {
    avr_t *avr;
    avr_twi_t *twi;
    avr_irq_t *adc, *uart_in;
    struct wave wave;
    struct bytes sent;     /* what the UART has sent since it was last asked for */
    struct bytes received; /* what is still to go into the UART */
    bool room;             /* whether simavr, which keeps the pace, takes another byte */
    int pty;               /* file descriptor, or -1 */
    bool twi_released;     /* the firmware has written TWCR with TWINT = 1 */
    uint8_t driven[NODE_PORTS], level[NODE_PORTS]; /* pins B, C, D held from outside */
    bool powered;
    long cut_after;        /* EEPROM bytes until the supply fails in the middle of one; -1: never */
    unsigned long eeprom_writes;
    unsigned long conversions;
    bool in_interrupt;
    avr_cycle_count_t interrupt_from, interrupt_cycles, longest_interrupt;
    unsigned lowest_stack; /* the stack pointer's lowest value at the beginning of an interrupt */
};

void node_start(struct node *n, elf_firmware_t *firmware);
double node_time(const struct node *n); /* simulated seconds */
void node_run(struct node *n, avr_cycle_count_t until);
/* The supply fails: what is in RAM is gone, a byte that was being written to the EEPROM is spoilt. */
void node_power_off(struct node *n);
void node_power_on(struct node *n);
uint8_t *node_eeprom(struct node *n);
void node_drive(struct node *n, char port, int bit, int level); /* level -1: let go */
/* Level that the pin is driven to by the AVR, or -1 if it is an input. */
int node_pin(struct node *n, char port, int bit);

void bytes_add(struct bytes *b, const uint8_t *data, size_t length);

#endif
