#ifndef TESTS_KIT_FOLDER_H
#define TESTS_KIT_FOLDER_H

/* Removes a folder and all that is in it, and follows no link. 0, or -1 with errno. */
int folder_remove(const char *path);

#endif
