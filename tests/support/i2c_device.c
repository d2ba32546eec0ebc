/* A /dev/i2c-N where the kernel has none: loaded into a process before its C library, so that the real smbus2 with its
 * real system calls reads a simulated bus. Transactions go to the Unix socket that I2C_DEVICE_SOCKET names, as
 *   'X', number of messages, then for each: address, flags, length (16 bits, host order), and what is written;
 *   back come an errno (32 bits, 0 for none) and what was read.
 *   'S', request (32 bits), value (32 bits) for settings; nothing comes back.
 * Build: cc -shared -fPIC -O2 -Wall -Wextra -o i2c_device.so i2c_device.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OPEN_AT_MOST 1024

static char ours[OPEN_AT_MOST];

static int all(int fd, void *data, size_t length, int sending)
{
    char *at = data;
    while (length) {
        ssize_t done = sending ? send(fd, at, length, MSG_NOSIGNAL) : recv(fd, at, length, 0);
        if (done <= 0) {
            errno = ENODEV;
            return -1;
        }
        at += done;
        length -= (size_t)done;
    }
    return 0;
}

static int join(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    strncpy(where.sun_path, getenv("I2C_DEVICE_SOCKET"), sizeof where.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (fd >= OPEN_AT_MOST || connect(fd, (void *)&where, sizeof where)) {
        close(fd);
        errno = ENOENT;
        return -1;
    }
    ours[fd] = 1;
    return fd;
}

#define OPENS(name)                                                                          \
    int name(const char *path, int flags, ...)                                               \
    {                                                                                        \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        int mode = 0;                                                                        \
        if (flags & O_CREAT) {                                                               \
            va_list rest;                                                                    \
            va_start(rest, flags);                                                           \
            mode = va_arg(rest, int);                                                        \
            va_end(rest);                                                                    \
        }                                                                                    \
        if (getenv("I2C_DEVICE_SOCKET") && !strncmp(path, "/dev/i2c-", 9))                   \
            return join();                                                                   \
        return real(path, flags, mode);                                                      \
    }
OPENS(open)
OPENS(open64)

int close(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < OPEN_AT_MOST)
        ours[fd] = 0;
    return real(fd);
}

static int transact(int fd, struct i2c_rdwr_ioctl_data *asked)
{
    unsigned char head[2] = {'X', (unsigned char)asked->nmsgs};
    if (all(fd, head, sizeof head, 1))
        return -1;
    for (unsigned number = 0; number < asked->nmsgs; number++) {
        struct i2c_msg *message = &asked->msgs[number];
        uint16_t about[3] = {message->addr, message->flags, message->len};
        if (all(fd, about, sizeof about, 1))
            return -1;
        if (!(message->flags & I2C_M_RD) && all(fd, message->buf, message->len, 1))
            return -1;
    }
    int32_t error;
    if (all(fd, &error, sizeof error, 0))
        return -1;
    if (error) {
        errno = error;
        return -1;
    }
    for (unsigned number = 0; number < asked->nmsgs; number++) {
        struct i2c_msg *message = &asked->msgs[number];
        if ((message->flags & I2C_M_RD) && all(fd, message->buf, message->len, 0))
            return -1;
    }
    return (int)asked->nmsgs;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (fd < 0 || fd >= OPEN_AT_MOST || !ours[fd])
        return real(fd, request, argument);
    if (request == I2C_FUNCS) {
        *(unsigned long *)argument = I2C_FUNC_I2C;
        return 0;
    }
    if (request == I2C_RDWR)
        return transact(fd, argument);
    if (request == I2C_RETRIES || request == I2C_TIMEOUT) {
        char head = 'S';
        uint32_t setting[2] = {(uint32_t)request, (uint32_t)(uintptr_t)argument};
        return all(fd, &head, 1, 1) || all(fd, setting, sizeof setting, 1) ? -1 : 0;
    }
    errno = ENOTTY;
    return -1;
}
