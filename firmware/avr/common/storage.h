/* Memory that outlives the supply, byte by byte.  The AVR's is its EEPROM, a test's an array. */
#ifndef STORAGE_H
#define STORAGE_H

#include <stdint.h>

enum {
    STORAGE_SIZE = 1024,
    STORAGE_SETTINGS = 0,
    STORAGE_ENERGY = 128,
    STORAGE_ENERGY_SLOTS = 34,
};

void storage_read(uint16_t offset, void *data, uint8_t length);
/* Writes in rising order, and only the bytes that differ.  The supply may fail at any byte. */
void storage_write(uint16_t offset, const void *data, uint8_t length);

#endif
