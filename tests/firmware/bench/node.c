#define _GNU_SOURCE
#include "node.h"

#include <avr_adc.h>
#include <avr_eeprom.h>
#include <avr_ioport.h>
#include <avr_uart.h>
#include <errno.h>
#include <math.h>
#include <sim_interrupts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EECR = 0x3F, EEARL = 0x41, EEARH = 0x42, EEPE = 0x02, EEMPE = 0x04, RAM_START = 0x100 };
enum { TWINT = 0x80, TWSTO = 0x10, SPL = 0x5D, SPH = 0x5E };
enum { EEPROM_WRITE_US = 3400, PTY_EVERY_US = 1000 };

static elf_firmware_t *firmware_of_all;
static void (*reset_of_all)(avr_t *);

double node_time(const struct node *n)
{
    return n->avr->cycle / NODE_FREQUENCY;
}

void bytes_add(struct bytes *b, const uint8_t *data, size_t length)
{
    if (b->taken == b->length)
        b->taken = b->length = 0;
    if (b->length + length > b->room) {
        b->room = 2 * (b->length + length);
        b->data = realloc(b->data, b->room);
    }
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void on_conversion(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    struct node *n = param;
    union {
        avr_adc_mux_t mux;
        uint32_t value;
    } which = {.value = value};
    if (which.mux.kind != ADC_MUX_SINGLE || which.mux.src > 1)
        return;
    n->conversions++;
    /* simavr divides by 1023 where the silicon divides by 1024. */
    double pin = wave_pin(&n->wave, node_time(n), which.mux.src) * 1024 / 1023;
    avr_raise_irq(n->adc + ADC_IRQ_ADC0 + which.mux.src, (uint32_t)lround(fmin(pin, 5000)));
}

static void on_sent(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    struct node *n = param;
    uint8_t byte = value;
    bytes_add(&n->sent, &byte, 1);
    /* A pty that nobody reads fills up; like a cable that nobody listens at, it then loses bytes. */
    if (n->pty >= 0 && write(n->pty, &byte, 1) < 0 && errno != EAGAIN)
        perror("pty");
}

static void on_room(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)value;
    ((struct node *)param)->room = true;
}

static void on_full(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    if (value)
        ((struct node *)param)->room = false;
}

static void on_interrupt(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    struct node *n = param;
    unsigned stack = n->avr->data[SPL] | n->avr->data[SPH] << 8;
    if (value && stack < n->lowest_stack)
        n->lowest_stack = stack;
    if (value && !n->in_interrupt)
        n->interrupt_from = n->avr->cycle;
    if (!value && n->in_interrupt) {
        avr_cycle_count_t took = n->avr->cycle - n->interrupt_from;
        n->interrupt_cycles += took;
        if (took > n->longest_interrupt)
            n->longest_interrupt = took;
    }
    n->in_interrupt = value;
}

static avr_cycle_count_t eeprom_written(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)when, (void)param;
    avr->data[EECR] &= ~EEPE;
    return 0;
}

/* simavr writes a byte in no time at all.  Here it takes as long as the data sheet says, and the
 * supply can be cut in the middle of it.  simavr's own handler has run before this one. */
static void on_eecr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    (void)address;
    struct node *n = param;
    if (!(value & EEPE) || !n->powered)
        return;
    n->eeprom_writes++;
    avr->data[EECR] |= EEPE;
    avr_cycle_timer_register_usec(avr, EEPROM_WRITE_US, eeprom_written, n);
    if (n->cut_after >= 0 && n->cut_after-- == 0)
        node_power_off(n);
}

static void on_twcr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    struct node *n = param;
    if (value & TWINT) {
        n->twi_released = true;
        avr->data[address] &= ~TWINT;
    }
    if (value & TWSTO) /* simavr takes that for a master's, and would go on as one */
        n->twi->state = TWI_COND_SLAVE;
}

/* simavr's own sleeps for real. */
static void no_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr, (void)cycles;
}

static void power_pins(struct node *n)
{
    for (int port = 0; port < NODE_PORTS; port++)
        for (int bit = 0; bit < 8; bit++)
            if (n->driven[port] >> bit & 1)
                node_drive(n, 'B' + port, bit, n->level[port] >> bit & 1);
}

/* simavr's reset clears the registers of the pins, and then takes levels that are as before for told already. */
static void on_reset(avr_t *avr)
{
    if (reset_of_all)
        reset_of_all(avr);
    for (char port = 'B'; port < 'B' + NODE_PORTS; port++)
        for (int bit = 0; bit < 8; bit++) {
            avr_irq_t *pin = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(port), bit);
            if (pin)
                pin->flags |= IRQ_FLAG_INIT;
        }
}

static void build(struct node *n, avr_cycle_count_t cycle)
{
    avr_t *avr = n->avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    avr->log = LOG_ERROR;
    firmware_of_all->frequency = NODE_FREQUENCY;
    avr_load_firmware(avr, firmware_of_all);
    avr->vcc = avr->avcc = avr->aref = 5000;
    avr->sleep = no_sleep;
    reset_of_all = avr->reset;
    avr->reset = on_reset;
    avr->cycle = cycle;
    for (int i = RAM_START; i <= avr->ramend; i++)
        avr->data[i] = lrand48(); /* RAM holds anything after power-up */

    n->twi = NULL;
    for (avr_io_t *io = avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "twi"))
            n->twi = (avr_twi_t *)io;
    avr_register_io_write(avr, n->twi->twen.reg, on_twcr, n);
    avr_register_io_write(avr, EECR, on_eecr, n);

    n->adc = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, 0);
    avr_irq_register_notify(n->adc + ADC_IRQ_OUT_TRIGGER, on_conversion, n);

    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP); /* the latter sleeps for real too */
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_t *uart = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), 0);
    n->uart_in = uart + UART_IRQ_INPUT;
    n->room = true;
    avr_irq_register_notify(uart + UART_IRQ_OUTPUT, on_sent, n);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XON, on_room, n);
    avr_irq_register_notify(uart + UART_IRQ_OUT_XOFF, on_full, n);
    avr_irq_register_notify(
        avr_get_interrupt_irq(avr, AVR_INT_ANY) + AVR_INT_IRQ_RUNNING, on_interrupt, n);
    n->in_interrupt = false;
    power_pins(n);
    n->powered = true;
}

void node_start(struct node *n, elf_firmware_t *firmware)
{
    firmware_of_all = firmware;
    memset(n, 0, sizeof *n);
    n->pty = -1;
    n->cut_after = -1;
    n->lowest_stack = UINT16_MAX;
    wave_defaults(&n->wave);
    build(n, 0);
    memset(node_eeprom(n), 0xFF, NODE_EEPROM);
}

uint8_t *node_eeprom(struct node *n)
{
    avr_eeprom_desc_t all = {.ee = NULL, .offset = 0, .size = NODE_EEPROM};
    avr_ioctl(n->avr, AVR_IOCTL_EEPROM_GET, &all);
    return all.ee;
}

void node_power_off(struct node *n)
{
    uint8_t *data = n->avr->data;
    if (n->powered && data[EECR] & EEPE)
        node_eeprom(n)[(data[EEARL] | data[EEARH] << 8) % NODE_EEPROM] = lrand48();
    n->powered = false;
    n->cut_after = -1;
    n->received.length = n->received.taken = 0;
}

void node_power_on(struct node *n)
{
    uint8_t eeprom[NODE_EEPROM];
    memcpy(eeprom, node_eeprom(n), sizeof eeprom);
    avr_cycle_count_t cycle = n->avr->cycle;
    avr_terminate(n->avr);
    build(n, cycle);
    memcpy(node_eeprom(n), eeprom, sizeof eeprom);
}

static avr_cycle_count_t stop_here(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr, (void)when, (void)param;
    return 0;
}

static void feed_uart(struct node *n)
{
    while (n->room && n->received.taken < n->received.length)
        avr_raise_irq(n->uart_in, n->received.data[n->received.taken++]);
}

static void read_pty(struct node *n)
{
    uint8_t data[256];
    ssize_t length = read(n->pty, data, sizeof data);
    if (length > 0)
        bytes_add(&n->received, data, length);
}

static void run_slice(struct node *n, avr_cycle_count_t until)
{
    avr_t *avr = n->avr;
    /* A sleeping core jumps to its next event: make this moment one. */
    if (until > avr->cycle)
        avr_cycle_timer_register(avr, until - avr->cycle, stop_here, n);
    while (avr->cycle < until && n->powered) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "the firmware has crashed at %#x\n", avr->pc);
            exit(2);
        }
        feed_uart(n);
    }
}

void node_run(struct node *n, avr_cycle_count_t until)
{
    while (n->powered && n->avr->cycle < until) {
        avr_cycle_count_t slice = until;
        if (n->pty >= 0) {
            read_pty(n);
            avr_cycle_count_t most = n->avr->cycle + PTY_EVERY_US * (NODE_FREQUENCY / 1e6);
            slice = most < until ? most : until;
        }
        run_slice(n, slice);
    }
    if (!n->powered && n->avr->cycle < until)
        n->avr->cycle = until; /* time passes for the mains, too, while there is no supply */
}

void node_drive(struct node *n, char port, int bit, int level)
{
    int at = port - 'B';
    uint8_t mask = 1 << bit;
    n->driven[at] = level < 0 ? n->driven[at] & ~mask : n->driven[at] | mask;
    n->level[at] = level > 0 ? n->level[at] | mask : n->level[at] & ~mask;
    avr_ioport_external_t external = {
        .name = port, .mask = n->driven[at], .value = n->level[at] & n->driven[at]};
    avr_ioctl(n->avr, AVR_IOCTL_IOPORT_SET_EXTERNAL(port), &external);
    if (level >= 0)
        avr_raise_irq(avr_io_getirq(n->avr, AVR_IOCTL_IOPORT_GETIRQ(port), bit), level);
}

int node_pin(struct node *n, char port, int bit)
{
    avr_ioport_state_t state;
    if (!n->powered || avr_ioctl(n->avr, AVR_IOCTL_IOPORT_GETSTATE(port), &state))
        return -1;
    return state.ddr >> bit & 1 ? state.port >> bit & 1 : -1;
}
