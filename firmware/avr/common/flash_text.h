/* Texts and tables that stay in flash on the AVR and are ordinary constants on a PC. */
#ifndef FLASH_TEXT_H
#define FLASH_TEXT_H

#ifdef __AVR__
#include <avr/pgmspace.h>
#else
#include <stdint.h>
#include <string.h>
#define PROGMEM
#define PSTR(text) (text)
#define pgm_read_byte(at) (*(const uint8_t *)(at))
#define memcpy_P memcpy
#define strncmp_P strncmp
#define strlen_P strlen
#endif

#endif
