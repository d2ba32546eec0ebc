#include "crc16.h"

uint16_t crc16_update(uint16_t crc, uint8_t byte)
{
    crc ^= byte;
    for (uint8_t bit = 0; bit < 8; bit++)
        crc = crc & 1 ? (uint16_t)(crc >> 1) ^ 0xA001u : crc >> 1;
    return crc;
}

uint16_t crc16(const void *data, uint16_t length)
{
    const uint8_t *byte = data;
    uint16_t crc = CRC16_START;
    while (length--)
        crc = crc16_update(crc, *byte++);
    return crc;
}
