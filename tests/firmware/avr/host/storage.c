/* An EEPROM that is an array, whose supply can fail at any byte. */
#include "storage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

uint8_t host_storage[STORAGE_SIZE];
long host_cut_after = -1; /* bytes until the supply fails; -1: never */
uint8_t host_spoilt;      /* what the byte that was being written then holds */
bool host_worn;           /* the memory takes nothing any more */
unsigned long host_writes;
static bool dead;

void storage_read(uint16_t offset, void *data, uint8_t length)
{
    if (offset + length > STORAGE_SIZE)
        abort();
    memcpy(data, host_storage + offset, length);
}

void storage_write(uint16_t offset, const void *data, uint8_t length)
{
    const uint8_t *byte = data;
    if (offset + length > STORAGE_SIZE)
        abort();
    for (; length--; offset++, byte++) {
        if (dead || host_worn || host_storage[offset] == *byte)
            continue;
        if (host_cut_after == 0) {
            host_storage[offset] = host_spoilt;
            dead = true;
            continue;
        }
        host_cut_after -= host_cut_after > 0;
        host_writes++;
        host_storage[offset] = *byte;
    }
}

void host_power_on(void)
{
    dead = false;
    host_cut_after = -1;
}

bool host_dead(void)
{
    return dead;
}
