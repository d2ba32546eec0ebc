/* What the node's logic needs of the board it runs on.  main.c gives it on the UNO, a test on a PC. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

enum board_reset { RESET_POWER, RESET_BUTTON, RESET_BROWN_OUT, RESET_WATCHDOG, RESET_COMMAND, RESET_UNKNOWN };

uint32_t board_uptime(void); /* s */
uint16_t board_free_memory(void); /* bytes between the heap and the stack */
enum board_reset board_reset_cause(void);
void board_restart(void);
void board_identify(void); /* blink for ten seconds */
void board_wait(uint8_t ms);
void board_relay_fitted(bool fitted); /* whether the relay's pin is an output at all */
void board_relay_drive(bool high);
bool board_relay_level(void);
/* The contact to ground that tells whether the relay has really moved. */
bool board_feedback_closed(void);

#endif
