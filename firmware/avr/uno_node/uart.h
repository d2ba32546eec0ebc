/* The serial port: 9600 baud, 8 data bits, no parity, one stop bit, both ways through buffers. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stdint.h>

void uart_start(void);
bool uart_room(void);          /* whether another byte can be sent without waiting */
void uart_send(uint8_t byte);  /* only with room */
bool uart_idle(void);          /* whether everything has gone out */
/* The next byte received, or -1.  A byte that came damaged, or after others were lost, reads as 0. */
int16_t uart_receive(void);

#endif
