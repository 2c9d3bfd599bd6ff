#ifndef AGENT_SHELL_IMPORT_CSV_H
#define AGENT_SHELL_IMPORT_CSV_H

#include "agent/shell/import.h"

/* CSV as RFC 4180 has it, UTF-8 with or without a byte order mark; separated by comma, semicolon or tab (the header
 * decides). The first line holds the columns; see import_describe, or `kinward import --columns`.
 *
 * A file with the columns of the Febrl record-linkage data (rec_id, given_name, surname, ..., soc_sec_id) is read as
 * registrations: what Febrl lacks is filled with what claims nothing (sex unknown, separation status neither, care
 * arrangement other, consent not asked, obtained from other). Defaults in options go before these.
 *
 *   text     the whole file; borrowed
 *   summary  written in every case, up to where it stopped
 * KW_OK       read to the end; see summary for refused rows
 * KW_EFORMAT  no header, or not text
 * KW_EFIELD   strict, and a row or column was refused; or a default names no column
 * KW_ETOOBIG  over a limit of import.h
 * or what the sink stopped with. Each of these but the last has been reported to sink->refused. */
KW_MUST_USE enum kw_err import_csv(struct kw_view text, const struct import_options *options,
	const struct import_sink *sink, struct import_summary *summary);

#endif
