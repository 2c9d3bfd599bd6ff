#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_inner.h"

/* Looks at the data file before LMDB maps it. */

#define META_SIZE 152u
#define META_AT 16u /* after the page head */
#define META_MAGIC 0xbeefc0deu

struct meta {
	uint32_t magic;
	uint32_t version;
	uint32_t page_size;
	uint64_t last_page;
	uint64_t transaction;
};

static bool read_meta(int fd, uint64_t at, struct meta *out)
{
	uint8_t bytes[META_SIZE];
	if (pread(fd, bytes, sizeof(bytes), (off_t)at) != (ssize_t)sizeof(bytes))
		return false;
	memcpy(&out->magic, bytes + META_AT, 4);
	memcpy(&out->version, bytes + META_AT + 4, 4);
	memcpy(&out->page_size, bytes + META_AT + 24, 4);
	memcpy(&out->last_page, bytes + META_AT + 120, 8);
	memcpy(&out->transaction, bytes + META_AT + 128, 8);
	return true;
}

enum kw_err store_check_file(int fd)
{
	struct meta metas[2];
	struct stat status;
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	if (fstat(fd, &status) != 0)
		return KW_EIO;
	for (int i = 0; i < 2; i++) {
		if (!read_meta(fd, (uint64_t)i * page_size, &metas[i]) || metas[i].magic != META_MAGIC ||
			metas[i].page_size != page_size)
			return KW_ECORRUPT;
		if (metas[i].version != 1)
			return KW_EVERSION;
	}
	const struct meta *live = metas[1].transaction > metas[0].transaction ? &metas[1] : &metas[0];
	uint64_t pages = (uint64_t)status.st_size / page_size;
	return live->last_page >= pages ? KW_ECORRUPT : KW_OK;
}
