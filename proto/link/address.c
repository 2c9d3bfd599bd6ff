#include "proto/link/address.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum kw_err kw_address_split(const char *address, char *host, char *port)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) >= KW_ADDRESS_PORT_SIZE)
		return KW_EFIELD;
	size_t size = (size_t)(colon - address);
	if (address[0] == '[') {
		if (address[size - 1] != ']')
			return KW_EFIELD;
		address++;
		size -= 2;
	}
	if (size == 0 || size >= KW_ADDRESS_HOST_SIZE)
		return KW_EFIELD;
	for (const char *at = colon + 1; *at != '\0'; at++)
		if (*at < '0' || *at > '9')
			return KW_EFIELD;
	if (strtol(colon + 1, NULL, 10) > 65535)
		return KW_EFIELD;
	memcpy(host, address, size);
	host[size] = '\0';
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	return KW_OK;
}

static bool is_numeric(const char *host)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	return uv_ip4_addr(host, 1, &v4) == 0 || uv_ip6_addr(host, 1, &v6) == 0;
}

static bool is_any(const char *host)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	if (uv_ip4_addr(host, 1, &v4) == 0)
		return v4.sin_addr.s_addr == 0;
	static const struct in6_addr ANY = IN6ADDR_ANY_INIT;
	return uv_ip6_addr(host, 1, &v6) == 0 && memcmp(&v6.sin6_addr, &ANY, sizeof(ANY)) == 0;
}

/* Could a resolver know it? Digits and dots alone are an IPv4 address with a mistake in it. */
static bool is_name(const char *host)
{
	static const char NAME[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	return strspn(host, NAME) == strlen(host) && host[strspn(host, "0123456789.")] != '\0';
}

enum kw_err kw_address_check(const char *address, enum kw_address_use use, const char **rule)
{
	char host[KW_ADDRESS_HOST_SIZE];
	char port[KW_ADDRESS_PORT_SIZE];
	const char *broken = NULL;
	bool splits = kw_address_split(address, host, port) == KW_OK;
	if (use == KW_ADDRESS_LISTEN) {
		if (!splits)
			broken = "must be ADDRESS:PORT with a port of at most 65535, such as 0.0.0.0:7443 or [::]:7443";
		else if (!is_numeric(host))
			broken = "must be a numeric address of this machine and not a name, such as 0.0.0.0:7443 or 127.0.0.1:7443";
	} else if (!splits || strtol(port, NULL, 10) == 0) {
		broken = "must be HOST:PORT with a port from 1 to 65535, such as hub.example.org:7443";
	} else if (is_any(host)) {
		broken = "can be listened on, but nobody can dial it: give the name or address under which agencies reach the hub";
	} else if (!is_numeric(host) && !is_name(host)) {
		broken = "must be HOST:PORT where HOST is a name or a numeric address, such as hub.example.org:7443 or [2001:db8::1]:7443";
	}
	if (broken == NULL)
		return KW_OK;
	*rule = broken;
	return KW_EFIELD;
}

bool kw_address_is_any(const char *address)
{
	char host[KW_ADDRESS_HOST_SIZE];
	char port[KW_ADDRESS_PORT_SIZE];
	return kw_address_split(address, host, port) == KW_OK && is_any(host);
}
