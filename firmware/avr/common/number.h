/* Decimal numbers as scaled integers: 227.51 with two decimals is 22751. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdbool.h>
#include <stdint.h>

enum { NUMBER_TEXT = 24 }; /* room for any text that number_text makes, with its end */

/* Read a JSON number of `length` characters, rounded to `decimals`; false if it is none or does not
 * fit. */
bool number_parse(const char *text, uint8_t length, uint8_t decimals, int32_t *value);
/* Write `value` / 10^decimals, without an exponent; returns where the text begins in `room`. */
const char *number_text(int64_t value, uint8_t decimals, char room[NUMBER_TEXT]);

#endif
