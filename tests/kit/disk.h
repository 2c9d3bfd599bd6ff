#ifndef KIT_DISK_H
#define KIT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* A small disk of a test's own, and somebody else who fills it. */

/* Mounts a tmpfs of `mib` MiB on the folder, in a namespace of this process's own when it may not do so outside: before it
 * has threads. False when neither is permitted; the reason has been printed. The folder is empty then as before. */
bool disk_small(const char *folder, uint32_t mib);
/* Writes the file `path` until the disk has `left` bytes: with a few, writes are cut short instead of refused, which LMDB
 * calls EIO. Fails the test when it cannot. */
void disk_fill(const char *path, uint32_t left);

#endif
