/* Loaded before libc: the machine's clock is WRONG_CLOCK_S seconds off, as where a battery is empty. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static long wrong(void)
{
	const char *text = getenv("WRONG_CLOCK_S");
	return text == NULL ? 0 : strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int result = real(clock, out);
	if (result == 0 && clock == CLOCK_REALTIME)
		out->tv_sec += wrong();
	return result;
}

time_t time(time_t *out)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
