#include "line.h"

#include "crc16.h"
#include "flash_text.h"
#include "number.h"

static uint16_t crc = CRC16_START;

static void put(char c)
{
    crc = crc16_update(crc, (uint8_t)c);
    line_byte((uint8_t)c);
}

void line_text(const char *in_flash)
{
    for (char c; (c = (char)pgm_read_byte(in_flash)); in_flash++)
        put(c);
}

void line_characters(const char *text, uint8_t length)
{
    while (length--)
        put(*text++);
}

void line_number(int64_t value, uint8_t decimals)
{
    char room[NUMBER_TEXT];
    for (const char *at = number_text(value, decimals, room); *at; at++)
        put(*at);
}

void line_end(bool with_crc)
{
    if (with_crc) {
        line_byte('*');
        for (int8_t shift = 12; shift >= 0; shift -= 4)
            line_byte((uint8_t)"0123456789ABCDEF"[crc >> shift & 15]);
    }
    line_byte('\n');
    crc = CRC16_START;
}
