/* Records that survive a supply that fails while one is written.
 *
 * A record lives in a ring of equal slots; each save goes to the slot after the newest, so that the
 * newest stays whole until the next is, and so that wear spreads over the ring.  With two slots
 * it is a pair of copies.  A slot holds a running number, the data and a CRC:
 *
 *     number (4 bytes, little endian) | data (`length` bytes) | crc16 (2 bytes)
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <stdbool.h>
#include <stdint.h>

enum { RECORD_EXTRA = 6, RECORD_MOST = 64 };

struct ring {
    uint16_t offset; /* of the first slot in the storage */
    uint8_t slots;
    uint8_t length;  /* bytes of data, at most RECORD_MOST */
    uint32_t number; /* of the newest record; 0: there is none */
    uint8_t slot;    /* where it is */
};

/* Find the newest whole record and copy its data; false if there is none. */
bool ring_load(struct ring *ring, void *data);
/* Write a record beside the newest one, and read it back; false if it does not read back. */
bool ring_save(struct ring *ring, const void *data);

#endif
