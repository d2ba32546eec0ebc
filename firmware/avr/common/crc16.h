/* CRC-16/MODBUS (polynomial A001, start FFFF), that of the bridge protocol and of what is in the EEPROM. */
#ifndef CRC16_H
#define CRC16_H

#include <stdint.h>

#define CRC16_START 0xFFFFu

uint16_t crc16_update(uint16_t crc, uint8_t byte);
uint16_t crc16(const void *data, uint16_t length);

#endif
