/* simavr 1.6's own TWI slave loses states (SLA+W is overwritten by the first byte, 0xB8 and 0xC0
 * never come) and leaves TWINT set, so the bus is modelled on the registers: the status goes into
 * TWSR, a byte into TWDR, the interrupt is raised, and SCL stays low until the firmware writes
 * TWCR with TWINT = 1. */
#include "twi.h"

#include <sim_interrupts.h>

enum { TWEA = 0x40, TWEN = 0x04, TWSTO = 0x10 };
enum { SLA_W = 0x60, DATA_ACK = 0x80, DATA_NACK = 0x88, STOP = 0xA0, SLA_R = 0xA8,
       SENT_ACK = 0xB8, SENT_NACK = 0xC0, SENT_LAST = 0xC8, CALL = 0x70, CALL_ACK = 0x90,
       CALL_NACK = 0x98, BUS_ERROR = 0x00, IDLE = 0xF8 };
static const double TIMEOUT = 0.025; /* s, that of the SMBus */

avr_cycle_count_t bus_now(const struct bus *bus)
{
    avr_cycle_count_t latest = 0;
    for (int i = 0; i < bus->count; i++)
        if (bus->nodes[i].avr->cycle > latest)
            latest = bus->nodes[i].avr->cycle;
    return latest;
}

void bus_run(struct bus *bus, avr_cycle_count_t until)
{
    for (int i = 0; i < bus->count; i++)
        node_run(&bus->nodes[i], until);
}

static uint8_t control(const struct node *n)
{
    return n->avr->data[n->twi->twen.reg];
}

static bool listens(const struct node *n)
{
    return n->powered && (control(n) & (TWEN | TWEA)) == (TWEN | TWEA);
}

static void bits(const struct bus *bus, struct node *n, int count)
{
    node_run(n, n->avr->cycle + (avr_cycle_count_t)(count * NODE_FREQUENCY / bus->hz));
}

/* One status for the slave, then wait until it lets SCL go.  False: it never does. */
static bool event(struct bus *bus, struct node *n, uint8_t status)
{
    avr_t *avr = n->avr;
    avr->data[n->twi->twsr.reg] = (avr->data[n->twi->twsr.reg] & 0x07) | status;
    n->twi_released = false;
    avr_raise_interrupt(avr, &n->twi->twi);
    avr_cycle_count_t from = avr->cycle, limit = from + (avr_cycle_count_t)(TIMEOUT * NODE_FREQUENCY);
    while (!n->twi_released) {
        if (avr->cycle > limit || !n->powered)
            return false;
        node_run(n, avr->cycle + 1);
    }
    double stretch = (avr->cycle - from) / NODE_FREQUENCY * 1e6;
    bus->stretched += stretch;
    if (stretch > bus->longest)
        bus->longest = stretch;
    avr->data[n->twi->twsr.reg] = (avr->data[n->twi->twsr.reg] & 0x07) | IDLE;
    return true;
}

static struct node *addressed(struct bus *bus, int address)
{
    for (int i = 0; i < bus->count; i++) {
        struct node *n = &bus->nodes[i];
        const uint8_t *data = n->avr->data;
        uint8_t differs = (address ^ data[n->twi->r_twar] >> 1) & ~(data[n->twi->r_twamr] >> 1);
        if (listens(n) && !(differs & 0x7F))
            return n;
    }
    return NULL;
}

/* The master leaves the slave standing where it is, or sends STOP where none belongs. */
static enum twi_end go_wrong(struct bus *bus, struct node *n, enum twi_fault fault)
{
    if (fault == TWI_STOP_IN_BYTE) {
        bits(bus, n, 4);
        if (!event(bus, n, BUS_ERROR))
            return TWI_TIMEOUT;
        n->avr->data[n->twi->twen.reg] &= ~TWSTO; /* the hardware clears it when it has let go */
    }
    return TWI_OK;
}

static enum twi_end write_bytes(struct bus *bus, struct node *n, const uint8_t *w, int nw,
                                bool stop)
{
    bits(bus, n, 10);
    if (!event(bus, n, SLA_W))
        return TWI_TIMEOUT;
    for (int i = 0; i < nw; i++) {
        bits(bus, n, 9);
        n->avr->data[n->twi->r_twdr] = w[i];
        bool taken = control(n) & TWEA;
        if (!event(bus, n, taken ? DATA_ACK : DATA_NACK))
            return TWI_TIMEOUT;
        if (!taken)
            return TWI_NACK_DATA;
    }
    return !stop || event(bus, n, STOP) ? TWI_OK : TWI_TIMEOUT; /* STOP and repeated START alike */
}

static enum twi_end read_bytes(struct bus *bus, struct node *n, uint8_t *r, int nr, bool whole)
{
    bits(bus, n, 10);
    if (!(control(n) & TWEA))
        return TWI_NACK_ADDRESS;
    if (!event(bus, n, SLA_R))
        return TWI_TIMEOUT;
    bool over = false; /* the slave has sent its last byte: the bus reads as ones */
    for (int i = 0; i < nr; i++) {
        r[i] = over ? 0xFF : n->avr->data[n->twi->r_twdr];
        bits(bus, n, 9);
        if (over)
            continue;
        bool last = i == nr - 1 && whole;
        uint8_t status = last ? SENT_NACK : control(n) & TWEA ? SENT_ACK : SENT_LAST;
        over = status == SENT_LAST;
        if (!event(bus, n, status))
            return TWI_TIMEOUT;
    }
    return TWI_OK;
}

enum twi_end twi_transfer(struct bus *bus, int address, const uint8_t *w, int nw, uint8_t *r, int nr,
                          enum twi_fault fault)
{
    bus->stretched = bus->longest = 0;
    bus_run(bus, bus_now(bus));
    struct node *n = addressed(bus, address);
    if (!n) {
        bus_run(bus, bus_now(bus) + (avr_cycle_count_t)(11 * NODE_FREQUENCY / bus->hz));
        return TWI_NACK_ADDRESS;
    }
    enum twi_end end = TWI_OK;
    bool ends_reading = nr > 0, whole = fault == TWI_NO_FAULT;
    if (nw || !nr)
        end = write_bytes(bus, n, w, nw, whole || ends_reading);
    if (end == TWI_OK && ends_reading)
        end = read_bytes(bus, n, r, nr, whole);
    if (end == TWI_OK && !whole)
        end = go_wrong(bus, n, fault);
    bits(bus, n, 1);
    bus_run(bus, bus_now(bus));
    return end;
}

void twi_general_call(struct bus *bus, const uint8_t *w, int nw)
{
    bus->stretched = bus->longest = 0;
    bus_run(bus, bus_now(bus));
    for (int k = 0; k < bus->count; k++) {
        struct node *n = &bus->nodes[k];
        if (!listens(n) || !(n->avr->data[n->twi->r_twar] & 1))
            continue;
        bits(bus, n, 10);
        if (!event(bus, n, CALL))
            continue;
        for (int i = 0; i < nw; i++) {
            bits(bus, n, 9);
            n->avr->data[n->twi->r_twdr] = w[i];
            if (!event(bus, n, control(n) & TWEA ? CALL_ACK : CALL_NACK))
                break;
        }
        event(bus, n, STOP);
    }
    bus_run(bus, bus_now(bus));
}
