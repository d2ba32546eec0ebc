/* The AVR's EEPROM as storage. */
#include "storage.h"

#include <avr/eeprom.h>

void storage_read(uint16_t offset, void *data, uint8_t length)
{
    eeprom_read_block(data, (const void *)offset, length);
}

void storage_write(uint16_t offset, const void *data, uint8_t length)
{
    const uint8_t *byte = data;
    while (length--)
        eeprom_update_byte((uint8_t *)offset++, *byte++); /* avr-libc's block functions write backwards */
}
