/* What happens on the I2C bus, byte by byte, without the hardware: docs/i2c-monitor.md.
 *
 * The interrupt hands over the TWI's status and gets back what to do.  The main loop fetches commands
 * and publishes blocks, both with interrupts off. */
#ifndef SLAVE_H
#define SLAVE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    POINTER_IDENTITY = 0x00, POINTER_MEASUREMENT = 0x40, POINTER_DIAGNOSTICS = 0x80,
    POINTER_CALIBRATION = 0xA0, POINTER_COMMAND = 0xC0, POINTER_RESULT = 0xD0,
    POINTER_WAVEFORM = 0xE0,
};

enum { BLOCK_IDENTITY, BLOCK_MEASUREMENT, BLOCK_DIAGNOSTICS, BLOCK_CALIBRATION, BLOCK_RESULT, BLOCKS };

/* Bytes of a block before its CRC. */
enum {
    LENGTH_IDENTITY = 38, LENGTH_MEASUREMENT = 48, LENGTH_DIAGNOSTICS = 18, LENGTH_CALIBRATION = 26,
    LENGTH_RESULT = 8, LENGTH_CHUNK = 60, LENGTH_COMMAND = 13,
    WRITE_COMMAND = 1 + LENGTH_COMMAND + 2, /* pointer, command, CRC */
};

enum { NOWHERE = 0xFF };

/* Statuses of the TWI that a slave sees. */
enum {
    TWI_BUS_ERROR = 0x00, TWI_WRITE = 0x60, TWI_WRITE_AFTER_LOSS = 0x68, TWI_TAKEN = 0x80,
    TWI_REFUSED = 0x88, TWI_STOP = 0xA0, TWI_READ = 0xA8, TWI_READ_AFTER_LOSS = 0xB0,
    TWI_SENT = 0xB8, TWI_SENT_LAST = 0xC0, TWI_SENT_END = 0xC8,
};

struct slave {
    uint8_t block[BLOCKS][LENGTH_MEASUREMENT]; /* what is published */
    uint8_t received[WRITE_COMMAND];
    uint8_t count;             /* bytes received in this write */
    bool writing, reading;
    uint8_t pointer, chunk;    /* chosen, for one read */
    bool chosen;
    uint16_t chosen_at;        /* pairs */
    const uint8_t *from;       /* what is being read; NULL: a place where there is nothing */
    uint8_t from_pointer, length, sent;
    uint8_t ready;             /* the byte to send at the next TWI_SENT, made while the one before it goes out */
    uint8_t header[LENGTH_CHUNK];
    uint16_t crc;
    bool command_waits;
    uint8_t command[WRITE_COMMAND];
    bool measurement_read;     /* to its last byte, since it was published */
    uint16_t errors;           /* transactions dropped */
    uint8_t idle;              /* pairs since the last event of a transaction */
};

/* Given by the waveform capture: the 60 bytes of a chunk; called in the interrupt. */
void capture_chunk(uint8_t chunk, uint8_t bytes[LENGTH_CHUNK]);

/* One event; `now` counts pairs of samples.  Returns the byte to send, where one is. `ack` is whether the
 * next byte received is to be acknowledged. */
uint8_t slave_event(struct slave *s, uint8_t status, uint8_t data, uint16_t now, bool *ack);
/* A pair of samples later; true if the transaction under way has to be given up (nothing for 25 ms). */
bool slave_pair(struct slave *s);
/* Exchange a block's content; false while a read is under way. */
bool slave_publish(struct slave *s, uint8_t block, const void *data);
/* Exchange a single byte of it, likewise. */
bool slave_patch(struct slave *s, uint8_t block, uint8_t at, uint8_t byte);
uint8_t block_length(uint8_t block);

#endif
