#ifndef KW_BASE_ERR_H
#define KW_BASE_ERR_H

/* Every result of Kinward's own code is one of these. The table in err.c gives each a wire name and a class; the class
 * decides what a peer hears and whether we stay up. Codes of libuv, LMDB and OpenSSL are translated where they enter. */

#define KW_MUST_USE __attribute__((warn_unused_result))

enum kw_err {
	KW_OK = 0,

	/* Bad input: the same bytes will be refused again. */
	KW_EFORMAT,    /* bytes do not parse */
	KW_ETOOBIG,    /* over a named limit */
	KW_EFIELD,     /* a field is missing, out of range, or an unknown code */
	KW_EVERSION,   /* a version, suite or feature we do not speak */
	KW_EAUTH,      /* a signature, certificate or code that does not verify */
	KW_EOPEN,      /* cannot open: the one generic answer for anything sealed */
	KW_ENOAGENCY,  /* no such agency in the directory */
	KW_ENOTFOUND,  /* no such message, key or file */
	KW_EEXIST,     /* already there with other content */
	KW_EEXPIRED,   /* past its expiry */
	KW_EDENIED,    /* the caller may not do this */
	KW_EPROTO,     /* a peer broke the session's rules; the session ends */
	KW_ESTATE,     /* not possible in the present state */
	KW_EILLEGAL,   /* the thread's table says no to this event in this state */

	/* Overload and outages: the same request may succeed later. */
	KW_EFULL,      /* a queue or quota is full */
	KW_ENOSPACE,   /* disk or map is full */
	KW_EBUSY,      /* too many at once */
	KW_ECLOSED,    /* the connection or program is closing */
	KW_ETIMEOUT,   /* a deadline passed */
	KW_EOFFLINE,   /* no connection to the hub */

	/* We cannot go on: stop, keep the disk as it is, be restarted. */
	KW_EIO,        /* a read, write or sync failed */
	KW_ECORRUPT,   /* stored bytes fail their checksum */
	KW_ENOMEM,     /* allocation failed */
	KW_ECRYPTO,    /* libcrypto refused an operation that must succeed */

	KW_ERECALLED,  /* taken back before it arrived */
	KW_EUNCONFIRMED, /* past its expiry without a receipt: it may have arrived */
	KW_EKEYGONE,   /* sealed to a key that its recipient has destroyed, or never had */
	KW_ERR_COUNT
};

enum kw_err_class {
	KW_CLASS_OK,
	KW_CLASS_REJECT, /* tell the peer, do not retry */
	KW_CLASS_RETRY,  /* tell the peer, retry later */
	KW_CLASS_FATAL   /* stop */
};

/* Wire name, for example "queue_full": lower case, stable, static storage. Unknown codes give "unknown". */
const char *kw_err_name(enum kw_err err);

/* One English sentence for a person that says what to do; static storage. */
const char *kw_err_text(enum kw_err err);

enum kw_err_class kw_err_class(enum kw_err err);

/* The code with this wire name; KW_ERR_COUNT if there is none. `name` is a C string. */
enum kw_err kw_err_from_name(const char *name);

#endif
