#ifndef KW_BASE_CHECK_H
#define KW_BASE_CHECK_H

/* KW_ASSERT states what only a mistake of ours can break; it stays on in release. Never assert on bytes from a socket
 * or a disk. A failure prints the place to stderr and aborts: it is better to be restarted than to go on wrong. */

_Noreturn void kw_check_failed(const char *expression, const char *file, int line);

#define KW_ASSERT(expression) \
	do { \
		if (__builtin_expect(!(expression), 0)) \
			kw_check_failed(#expression, __FILE__, __LINE__); \
	} while (0)

#endif
