/* Runs one or more ATmega328P firmwares in simavr, in lockstep: simulated time passes only while a
 * command runs, so that a test is as fast as the machine and repeats exactly.
 *
 *     bench [-n COUNT] [-s SCL_HZ] [-x SEED] firmware.elf
 *
 * One command per line on standard input, one answer per line on standard output ("ok …" or
 * "error …"); NODE is a number from 0, bytes are hexadecimal:
 *
 *     run SECONDS                        advance; the answer is the time
 *     set NODE KEY VALUE [KEY VALUE …]   change the waves (wave.h has the keys)
 *     true NODE                          what a perfect meter reads
 *     uart NODE                          what it has sent since the last call
 *     send NODE BYTES                    into its UART, at the pace of its baud rate
 *     pty NODE                           lay its UART on a pseudo terminal; the answer is its path
 *     power NODE off|on                  cut the supply; what is in the EEPROM stays
 *     cut NODE N                         cut the supply while the N-th EEPROM byte from now is written
 *     eeprom NODE OFFSET COUNT           read
 *     preset NODE OFFSET BYTES           write, as a programmer does
 *     pin NODE PORT BIT                  the level that the AVR drives (0, 1, z)
 *     drive NODE PORT BIT 0|1|z          hold a pin from outside
 *     poke NODE ADDRESS VALUE            write a register or a byte of RAM, to break something
 *     i2c ADDRESS W BYTES R COUNT [stop|vanish]   "-" for no bytes; the answer has what was read
 *     call BYTES                         general call
 *     stat NODE                          interrupt load and the like
 *     quit */
#define _GNU_SOURCE
#include "node.h"
#include "twi.h"

#include <fcntl.h>
#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { MOST_NODES = 128, MOST_BYTES = 1024, MOST_WORDS = 64 };

static struct bus bus = {.count = 1, .hz = 100000};
static FILE *answers;

static void answer(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(answers, format, arguments);
    va_end(arguments);
}

static void answer_hex(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        answer("%02x", data[i]);
}

static int bytes_of(const char *hex, uint8_t *to)
{
    int length = 0;
    unsigned byte;
    while (*hex != '-' && length < MOST_BYTES && sscanf(hex, "%2x", &byte) == 1) {
        to[length++] = byte;
        hex += 2;
    }
    return length;
}

static void do_set(struct node *n, char **words, int count)
{
    for (int i = 0; i + 1 < count; i += 2)
        if (!wave_set(&n->wave, node_time(n), words[i], atof(words[i + 1]))) {
            answer("error no such key: %s", words[i]);
            return;
        }
    answer("ok");
}

static void do_true(const struct node *n)
{
    struct truth t = wave_truth(&n->wave);
    answer("ok voltage=%.6f current=%.6f power=%.6f reactive_power=%.6f apparent_power=%.6f "
           "power_factor=%.8f frequency=%.6f crest=%.6f",
           t.vrms, t.irms, t.power, t.reactive, t.apparent, t.factor, t.hz, t.crest);
}

static void do_pty(struct node *n)
{
    int slave;
    char name[128];
    struct termios raw;
    if (n->pty < 0) {
        if (openpty(&n->pty, &slave, name, NULL, NULL)) {
            answer("error no pty");
            return;
        }
        tcgetattr(slave, &raw);
        cfmakeraw(&raw);
        tcsetattr(slave, TCSANOW, &raw); /* our end of the slave stays open: no EIO without a reader */
        fcntl(n->pty, F_SETFL, O_NONBLOCK);
    }
    ptsname_r(n->pty, name, sizeof name);
    answer("ok %s", name);
}

static void do_i2c(char **words, int count)
{
    static const char *ends[] = {"ok", "error nack address", "error nack data", "error timeout"};
    uint8_t written[MOST_BYTES], read[MOST_BYTES];
    if (count < 3) {
        answer("error what?");
        return;
    }
    int nw = bytes_of(words[1], written), nr = atoi(words[2]);
    enum twi_fault fault = count < 4 ? TWI_NO_FAULT
                           : !strcmp(words[3], "stop") ? TWI_STOP_IN_BYTE
                                                       : TWI_VANISH;
    avr_cycle_count_t from = bus_now(&bus);
    enum twi_end end = twi_transfer(&bus, strtol(words[0], NULL, 0), written, nw, read,
                                    nr > MOST_BYTES ? MOST_BYTES : nr, fault);
    answer("%s ", ends[end]);
    if (end == TWI_OK && nr > 0)
        answer_hex(read, nr);
    else
        answer("-");
    answer(" us=%.1f stretched=%.1f longest=%.2f", (bus_now(&bus) - from) / NODE_FREQUENCY * 1e6,
           bus.stretched, bus.longest);
}

static void do_stat(const struct node *n)
{
    double seconds = node_time(n);
    answer("ok time=%.6f interrupts=%.5f longest=%.2f conversions=%.2f eeprom_writes=%lu stack=%u",
           seconds,
           n->interrupt_cycles / (seconds * NODE_FREQUENCY),
           n->longest_interrupt / NODE_FREQUENCY * 1e6, n->conversions / seconds, n->eeprom_writes,
           n->lowest_stack);
}

/* Commands that begin with the number of a node. */
static void node_command(const char *what, struct node *n, char **words, int count)
{
    uint8_t data[MOST_BYTES];
    if (!strcmp(what, "set")) {
        do_set(n, words, count);
    } else if (!strcmp(what, "true")) {
        do_true(n);
    } else if (!strcmp(what, "uart")) {
        answer("ok ");
        answer_hex(n->sent.data, n->sent.length);
        n->sent.length = 0;
    } else if (!strcmp(what, "send") && count == 1) {
        bytes_add(&n->received, data, bytes_of(words[0], data));
        answer("ok");
    } else if (!strcmp(what, "pty")) {
        do_pty(n);
    } else if (!strcmp(what, "power") && count == 1) {
        if (n->powered)
            node_power_off(n);
        if (!strcmp(words[0], "on"))
            node_power_on(n);
        answer("ok");
    } else if (!strcmp(what, "cut") && count == 1) {
        n->cut_after = atol(words[0]);
        answer("ok");
    } else if (!strcmp(what, "eeprom") && count == 2) {
        int offset = atoi(words[0]), length = atoi(words[1]);
        answer("ok ");
        if (offset >= 0 && length > 0 && offset + length <= NODE_EEPROM)
            answer_hex(node_eeprom(n) + offset, length);
    } else if (!strcmp(what, "preset") && count == 2) {
        int offset = atoi(words[0]), length = bytes_of(words[1], data);
        if (offset < 0 || offset + length > NODE_EEPROM) {
            answer("error outside of the EEPROM");
            return;
        }
        memcpy(node_eeprom(n) + offset, data, length);
        answer("ok");
    } else if (!strcmp(what, "pin") && count == 2) {
        int level = node_pin(n, *words[0], atoi(words[1]));
        answer(level < 0 ? "ok z" : "ok %d", level);
    } else if (!strcmp(what, "drive") && count == 3) {
        node_drive(n, *words[0], atoi(words[1]), *words[2] == 'z' ? -1 : atoi(words[2]));
        answer("ok");
    } else if (!strcmp(what, "poke") && count == 2) {
        n->avr->data[strtol(words[0], NULL, 0) & 0x7FF] = strtol(words[1], NULL, 0);
        answer("ok");
    } else if (!strcmp(what, "stat")) {
        do_stat(n);
    } else {
        answer("error what?");
    }
}

static void command(char **words, int count)
{
    if (!strcmp(words[0], "run") && count == 2) {
        bus_run(&bus, bus_now(&bus) + (avr_cycle_count_t)(atof(words[1]) * NODE_FREQUENCY));
        answer("ok %.9f", bus_now(&bus) / NODE_FREQUENCY);
    } else if (!strcmp(words[0], "i2c")) {
        do_i2c(words + 1, count - 1);
    } else if (!strcmp(words[0], "call") && count == 2) {
        uint8_t data[MOST_BYTES];
        twi_general_call(&bus, data, bytes_of(words[1], data));
        answer("ok");
    } else if (!strcmp(words[0], "quit")) {
        exit(0);
    } else if (count > 1 && atoi(words[1]) >= 0 && atoi(words[1]) < bus.count) {
        node_command(words[0], &bus.nodes[atoi(words[1])], words + 2, count - 2);
    } else {
        answer("error what?");
    }
}

static int words_of(char *line, char **words)
{
    int count = 0;
    char *rest;
    for (char *word = strtok_r(line, " \r\n", &rest); word && count < MOST_WORDS;
         word = strtok_r(NULL, " \r\n", &rest))
        words[count++] = word;
    return count;
}

int main(int argc, char **argv)
{
    long seed = 1;
    int option;
    while ((option = getopt(argc, argv, "n:s:x:")) > 0) {
        if (option == 'n')
            bus.count = atoi(optarg);
        else if (option == 's')
            bus.hz = atof(optarg);
        else if (option == 'x')
            seed = atol(optarg);
        else
            return 1;
    }
    if (optind >= argc || bus.count < 1 || bus.count > MOST_NODES)
        return 1;
    /* simavr writes its own remarks to standard output: send those elsewhere. */
    answers = fdopen(dup(STDOUT_FILENO), "w");
    dup2(STDERR_FILENO, STDOUT_FILENO);
    srand48(seed);

    elf_firmware_t firmware = {0};
    if (elf_read_firmware(argv[optind], &firmware)) {
        fprintf(stderr, "cannot read %s\n", argv[optind]);
        return 1;
    }
    bus.nodes = calloc(bus.count, sizeof *bus.nodes);
    for (int i = 0; i < bus.count; i++)
        node_start(&bus.nodes[i], &firmware);

    char *line = NULL, *words[MOST_WORDS];
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        int count = words_of(line, words);
        if (!count)
            continue;
        command(words, count);
        answer("\n");
        fflush(answers);
    }
    return 0;
}
