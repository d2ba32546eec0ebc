/* A block that no interrupt comes into. */
#ifndef ATOMIC_H
#define ATOMIC_H

#ifdef __AVR__
#include <util/atomic.h>
#define UNDISTURBED ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
#else
#define UNDISTURBED
#endif

#endif
