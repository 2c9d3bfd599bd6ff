#ifndef AGENT_SHELL_IMPORT_H
#define AGENT_SHELL_IMPORT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"

/* Imports registrations and referrals from what case systems and spreadsheets export. import_csv.h and import_primero.h
 * read the files; both know columns by the names in import_columns.c, which are Primero's where Primero has the field.
 *
 * A row that is refused is reported (line, column, field, rule) and the others go on. Every record is checked with
 * proto/wire/message.h before it is handed over. Nothing is guessed: a value that breaks a rule is never repaired. */

/* Largest file, cell, and most columns and records of one file. */
#define IMPORT_FILE_SIZE_MAX (64u * 1024u * 1024u)
#define IMPORT_CELL_SIZE_MAX 8192u
#define IMPORT_COLUMNS_MAX 512u
#define IMPORT_ROWS_MAX 1000000u
#define IMPORT_LOCAL_ID_SIZE_MAX 64u

enum import_kind {
	IMPORT_REGISTRATION, /* kinward.v1.UascRegistration */
	IMPORT_REFERRAL,     /* kinward.v1.ReferralRequest */
	IMPORT_RELATIVE      /* kinward.v1.Relative; inside a registration only */
};

/* Why a row was refused. Texts are terminated; column and field come from us or from a header, rule never holds a
 * value. */
struct import_fault {
	size_t line;      /* of the file, from 1; in JSON the number of the record, from 1 */
	char column[64];  /* as in the header; empty when it is the whole row */
	char field[128];  /* path in the message; may be empty */
	char rule[512];
};

struct import_record {
	size_t line;
	const char *local_id;            /* 1..IMPORT_LOCAL_ID_SIZE_MAX bytes */
	const ProtobufCMessage *message; /* of the kind asked for; valid during the call */
};

/* Where records go. The pointers given to these calls are valid during the call only. */
struct import_sink {
	void *context;
	/* Stores one record; sets *repeated when it was there already. A result of class REJECT refuses the row and goes on
	 * (fill field and rule of fault); any other failure stops the import. */
	enum kw_err (*take)(void *context, const struct import_record *record, bool *repeated, struct import_fault *fault);
	void (*refused)(void *context, const struct import_fault *fault);
	/* Once per column that no rule knows, before the first row. */
	void (*ignored)(void *context, const char *column);
};

struct import_options {
	enum import_kind kind;
	const char *as_of;    /* day on which ages were true, YYYY-MM-DD, where a row does not say; NULL refuses such rows */
	const char *defaults; /* "column=value,column=value" for columns that are empty or missing; NULL for none */
	bool strict;          /* stop at the first row that is refused, and refuse files with unknown columns */
};

struct import_summary {
	size_t rows; /* imported + repeated + refused */
	size_t imported;
	size_t repeated;
	size_t refused;
};

/* The name and meaning of each column of a kind, for help texts: calls `each` with name, other names separated by '|'
 * (may be empty), and path in the message. */
void import_describe(enum import_kind kind, void (*each)(void *context, const char *name, const char *aliases,
	const char *field), void *context);

#endif
