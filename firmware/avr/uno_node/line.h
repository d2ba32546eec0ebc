/* Writes messages: text, numbers, and the CRC at the end of a line. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stdint.h>

/* Where the bytes go: given by the board (a UART) or a test. */
void line_byte(uint8_t byte);

void line_text(const char *in_flash);
void line_characters(const char *text, uint8_t length);
/* value / 10^decimals */
void line_number(int64_t value, uint8_t decimals);
/* Ends the line, with the CRC of what it had if `crc`. */
void line_end(bool crc);

#endif
