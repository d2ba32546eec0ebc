/* Reads one flat JSON object in place, key by key, without memory of its own.
 *
 * Nested values are checked for brackets that match, and passed over. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdint.h>

enum { JSON_DEPTH = 5 }; /* below the object itself */

struct json {
    const char *at, *end;
    bool begun;
    bool broken; /* it was no JSON */
};

struct slice {
    const char *text;
    uint8_t length;
};

enum json_type { JSON_TEXT, JSON_NUMBER, JSON_WORD, JSON_NESTED };

struct member {
    struct slice key, value; /* a text without its quotes, escapes as they are */
    enum json_type type;
};

void json_start(struct json *j, const char *text, uint8_t length);
/* The next key and value; false at the end, then `broken` says whether the object was one. */
bool json_next(struct json *j, struct member *member);
bool slice_is(struct slice slice, const char *text_in_flash);

#endif
