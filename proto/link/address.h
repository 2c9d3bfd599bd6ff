#ifndef KW_LINK_ADDRESS_H
#define KW_LINK_ADDRESS_H

#include <stdbool.h>

#include "proto/base/err.h"

/* "host:port" and "[v6]:port", as people write them in settings and on the command line. */

#define KW_ADDRESS_HOST_SIZE 256u
#define KW_ADDRESS_PORT_SIZE 8u

/* Cuts it in two; out of KW_ADDRESS_HOST_SIZE and KW_ADDRESS_PORT_SIZE, terminated. The host loses its brackets, the port
 * is a number of at most 65535. KW_EFIELD. */
KW_MUST_USE enum kw_err kw_address_split(const char *address, char *host, char *port);

enum kw_address_use {
	KW_ADDRESS_LISTEN, /* numeric; port 0 takes a free one */
	KW_ADDRESS_DIAL    /* a name or numeric; not one that means "every address of this machine" */
};

/* KW_EFIELD, and then *rule says what it must be: static storage, to be read behind "FIELD: ". */
KW_MUST_USE enum kw_err kw_address_check(const char *address, enum kw_address_use use, const char **rule);

/* Is its host 0.0.0.0 or [::], where one can listen and nobody can dial? False for what does not split. */
bool kw_address_is_any(const char *address);

#endif
