/* One step of the CRC where time matters: avr-libc has it in assembler. */
#ifndef BUS_CRC_H
#define BUS_CRC_H

#include <stdint.h>

#ifdef __AVR__
#include <util/crc16.h>
static inline uint16_t bus_crc(uint16_t crc, uint8_t byte)
{
    return _crc16_update(crc, byte);
}
#else
#include "crc16.h"
static inline uint16_t bus_crc(uint16_t crc, uint8_t byte)
{
    return crc16_update(crc, byte);
}
#endif

#endif
