#include "records.h"

#include "crc16.h"
#include "storage.h"

#include <string.h>

static uint16_t place(const struct ring *ring, uint8_t slot)
{
    return ring->offset + (uint16_t)slot * (ring->length + RECORD_EXTRA);
}

/* The running number of a slot that holds a whole record (its data goes to `record`), else 0. */
static uint32_t read_slot(const struct ring *ring, uint8_t slot, uint8_t *record)
{
    uint8_t body = ring->length + RECORD_EXTRA - 2;
    storage_read(place(ring, slot), record, body + 2);
    uint16_t crc = record[body] | (uint16_t)record[body + 1] << 8;
    if (crc != crc16(record, body))
        return 0;
    return record[0] | (uint32_t)record[1] << 8 | (uint32_t)record[2] << 16 |
           (uint32_t)record[3] << 24;
}

bool ring_load(struct ring *ring, void *data)
{
    uint8_t record[RECORD_MOST + RECORD_EXTRA];
    ring->number = 0;
    ring->slot = ring->slots - 1;
    for (uint8_t slot = 0; slot < ring->slots; slot++) {
        uint32_t number = read_slot(ring, slot, record);
        if (number > ring->number) {
            ring->number = number;
            ring->slot = slot;
            memcpy(data, record + 4, ring->length);
        }
    }
    return ring->number != 0;
}

bool ring_save(struct ring *ring, const void *data)
{
    uint8_t record[RECORD_MOST + RECORD_EXTRA], check[RECORD_MOST + RECORD_EXTRA];
    uint8_t body = ring->length + RECORD_EXTRA - 2;
    uint32_t number = ring->number + 1;
    uint8_t slot = ring->slot + 1 < ring->slots ? ring->slot + 1 : 0;
    for (uint8_t i = 0; i < 4; i++)
        record[i] = (uint8_t)(number >> 8 * i);
    memcpy(record + 4, data, ring->length);
    uint16_t crc = crc16(record, body);
    record[body] = (uint8_t)crc;
    record[body + 1] = (uint8_t)(crc >> 8);
    storage_write(place(ring, slot), record, body + 2);
    ring->slot = slot; /* a slot that is worn out is passed by, too */
    if (read_slot(ring, slot, check) != number)
        return false;
    ring->number = number;
    return true;
}
