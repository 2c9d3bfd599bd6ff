#ifndef KW_LINK_BLOB_FILE_INNER_H
#define KW_LINK_BLOB_FILE_INNER_H

#include "proto/link/blob_file.h"

/* Shared by blob_file.c and blob_file_name.c: names of files. Paths have KW_BLOB_FILE_PATH_MAX bytes; KW_ETOOBIG. */
KW_MUST_USE enum kw_err blob_file_path(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, char *out);
KW_MUST_USE enum kw_err blob_file_new_path(const struct kw_blob_folder *folder, const struct kw_id *id, char *out);
/* False when it is no blob's, or sealed under another key; fills all but size and commit. *clear: it shows its agencies. */
bool blob_file_parse(const struct kw_blob_folder *folder, const char *name, struct kw_blobs_entry *out, bool *clear);

#endif
