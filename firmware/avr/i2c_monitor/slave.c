#include "slave.h"

#include "bus_crc.h"
#include "crc16.h"

#include <string.h>

enum {
    PAIRS_100_MS = 226, /* a pointer holds so long */
    PAIRS_25_MS = 56,
};

static const uint8_t LENGTHS[BLOCKS] = {
    LENGTH_IDENTITY, LENGTH_MEASUREMENT, LENGTH_DIAGNOSTICS, LENGTH_CALIBRATION, LENGTH_RESULT};

uint8_t block_length(uint8_t block)
{
    return LENGTHS[block];
}

static int8_t block_at(uint8_t pointer)
{
    switch (pointer) {
    case POINTER_IDENTITY: return BLOCK_IDENTITY;
    case POINTER_MEASUREMENT: return BLOCK_MEASUREMENT;
    case POINTER_DIAGNOSTICS: return BLOCK_DIAGNOSTICS;
    case POINTER_CALIBRATION: return BLOCK_CALIBRATION;
    case POINTER_RESULT: return BLOCK_RESULT;
    default: return -1;
    }
}

static void drop(struct slave *s)
{
    s->errors += s->errors < UINT16_MAX;
}

/* Everything of a write has come: a pointer, a command, or nothing that is known. */
static void written(struct slave *s, uint16_t now)
{
    const uint8_t *r = s->received;
    bool pointer = s->count == 1 || (s->count == 2 && r[0] == POINTER_WAVEFORM);
    s->writing = false;
    if (pointer) {
        s->pointer = r[0];
        s->chunk = s->count == 2 ? r[1] : 0;
        s->chosen = true;
        s->chosen_at = now;
    } else if (s->count == WRITE_COMMAND && r[0] == POINTER_COMMAND && !s->command_waits) {
        memcpy(s->command, r, WRITE_COMMAND);
        s->command_waits = true;
    } else if (s->count) {
        drop(s);
    }
    s->count = 0;
}

/* The byte that comes after those handed out.  The CRC is worked out on the way: what is published cannot change
 * before the last byte has gone. */
static uint8_t following(struct slave *s)
{
    uint8_t at = s->sent;
    if (!s->from || at > s->length + 1)
        return NOWHERE;
    if (at < s->length) {
        s->crc = bus_crc(s->crc, s->from[at]);
        return s->from[at];
    }
    return at == s->length ? (uint8_t)s->crc : (uint8_t)(s->crc >> 8);
}

static uint8_t hand_out(struct slave *s)
{
    uint8_t byte = s->ready;
    if (s->sent < UINT8_MAX)
        s->sent++;
    s->ready = following(s);
    return byte;
}

static void begin_read(struct slave *s, uint16_t now)
{
    bool good = s->chosen && (uint16_t)(now - s->chosen_at) <= PAIRS_100_MS;
    uint8_t pointer = good ? s->pointer : POINTER_IDENTITY;
    int8_t block = block_at(pointer);
    s->chosen = false;
    s->reading = true;
    s->from_pointer = pointer;
    s->sent = 0;
    s->crc = bus_crc(CRC16_START, pointer);
    if (pointer == POINTER_WAVEFORM) {
        capture_chunk(s->chunk, s->header);
        s->from = s->header;
        s->length = LENGTH_CHUNK;
    } else if (block >= 0) {
        s->from = s->block[block];
        s->length = LENGTHS[block];
    } else {
        s->from = NULL;
        s->length = 0;
    }
    s->ready = following(s);
}

/* The last byte that was handed out has gone over the bus. */
static void gone(struct slave *s)
{
    if (s->from_pointer == POINTER_MEASUREMENT && s->sent == s->length + 2)
        s->measurement_read = true;
}

uint8_t slave_event(struct slave *s, uint8_t status, uint8_t data, uint16_t now, bool *ack)
{
    uint8_t send = NOWHERE;
    s->idle = 0;
    switch (status) {
    case TWI_WRITE:
    case TWI_WRITE_AFTER_LOSS:
        s->writing = true;
        s->reading = false;
        s->count = 0;
        break;
    case TWI_TAKEN:
        if (s->count < WRITE_COMMAND)
            s->received[s->count++] = data;
        break;
    case TWI_REFUSED: /* more than any write has */
        s->writing = false;
        s->count = 0;
        drop(s);
        break;
    case TWI_STOP: /* or a repeated START */
        if (s->writing)
            written(s, now);
        s->reading = false;
        break;
    case TWI_READ:
    case TWI_READ_AFTER_LOSS:
        begin_read(s, now);
        send = hand_out(s);
        break;
    case TWI_SENT:
        gone(s);
        send = hand_out(s);
        break;
    case TWI_SENT_LAST:
    case TWI_SENT_END:
        gone(s);
        s->reading = false;
        break;
    default: /* a START or STOP where none belongs */
        s->writing = s->reading = false;
        s->count = 0;
        drop(s);
    }
    /* One byte more than a command has is refused. */
    *ack = s->count < WRITE_COMMAND;
    return send;
}

bool slave_pair(struct slave *s)
{
    if (!s->writing && !s->reading)
        return false;
    if (++s->idle < PAIRS_25_MS)
        return false;
    s->writing = s->reading = false;
    s->count = 0;
    drop(s);
    return true;
}

bool slave_publish(struct slave *s, uint8_t block, const void *data)
{
    if (s->reading)
        return false;
    memcpy(s->block[block], data, LENGTHS[block]);
    return true;
}

bool slave_patch(struct slave *s, uint8_t block, uint8_t at, uint8_t byte)
{
    if (s->reading)
        return false;
    s->block[block][at] = byte;
    return true;
}
