#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>

enum { BAUD = 9600, SEND_ROOM = 64 };

static uint8_t sending[SEND_ROOM];
static volatile uint8_t send_head, send_tail;
static uint8_t received[256]; /* an index of 8 bits goes round by itself */
static volatile uint8_t receive_head, receive_tail;
static volatile bool overflowed;

ISR(USART_RX_vect)
{
    bool damaged = UCSR0A & (_BV(FE0) | _BV(DOR0));
    uint8_t byte = UDR0;
    if ((uint8_t)(receive_head + 1) == receive_tail) {
        overflowed = true;
        return;
    }
    received[receive_head++] = damaged || overflowed ? 0 : byte;
    overflowed = false;
}

ISR(USART_UDRE_vect)
{
    if (send_head == send_tail) {
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
        return;
    }
    UCSR0A = _BV(U2X0) | _BV(TXC0); /* writing a one clears the flag */
    UDR0 = sending[send_tail];
    send_tail = (uint8_t)(send_tail + 1) % SEND_ROOM;
}

void uart_start(void)
{
    UCSR0A = _BV(U2X0);
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UBRR0 = F_CPU / 8 / BAUD - 1; /* last: simavr works out its speed when this is written */
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

bool uart_room(void)
{
    return (uint8_t)(send_head + 1) % SEND_ROOM != send_tail;
}

void uart_send(uint8_t byte)
{
    sending[send_head] = byte;
    send_head = (uint8_t)(send_head + 1) % SEND_ROOM;
    UCSR0B |= _BV(UDRIE0);
}

bool uart_idle(void)
{
    return send_head == send_tail && UCSR0A & _BV(TXC0);
}

int16_t uart_receive(void)
{
    if (receive_head == receive_tail)
        return -1;
    return received[receive_tail++];
}
