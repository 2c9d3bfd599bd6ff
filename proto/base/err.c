#include "proto/base/err.h"

#include <string.h>

struct row {
	const char *name;
	const char *text;
	enum kw_err_class class;
};

static const struct row TABLE[KW_ERR_COUNT] = {
	[KW_OK] = {"ok", "Done.", KW_CLASS_OK},
	[KW_EFORMAT] = {"bad_format", "The bytes do not parse; check the sender's software version.", KW_CLASS_REJECT},
	[KW_ETOOBIG] = {"too_big", "Over a limit; make it smaller.", KW_CLASS_REJECT},
	[KW_EFIELD] = {"bad_field", "A field breaks a rule; correct the field that is named.", KW_CLASS_REJECT},
	[KW_EVERSION] = {"bad_version", "This version or suite is not spoken here; upgrade the older side.", KW_CLASS_REJECT},
	[KW_EAUTH] = {"not_authentic", "A signature, certificate or code does not verify.", KW_CLASS_REJECT},
	[KW_EOPEN] = {"cannot_open", "The message cannot be opened.", KW_CLASS_REJECT},
	[KW_ENOAGENCY] = {"no_such_agency", "No such agency in the directory; check the name.", KW_CLASS_REJECT},
	[KW_ENOTFOUND] = {"not_found", "No such item; check the id.", KW_CLASS_REJECT},
	[KW_EEXIST] = {"exists", "It exists already with other content.", KW_CLASS_REJECT},
	[KW_EEXPIRED] = {"expired", "It is past its expiry; send it again if it still matters.", KW_CLASS_REJECT},
	[KW_EDENIED] = {"denied", "You are not allowed to do this.", KW_CLASS_REJECT},
	[KW_EPROTO] = {"protocol", "The peer broke the session's rules; the session was closed.", KW_CLASS_REJECT},
	[KW_ESTATE] = {"bad_state", "Not possible in the present state.", KW_CLASS_REJECT},
	[KW_EILLEGAL] = {"illegal_state", "The thread's state does not allow this; look at its timeline.", KW_CLASS_REJECT},
	[KW_EFULL] = {"queue_full", "A queue or quota is full; it is tried again later.", KW_CLASS_RETRY},
	[KW_ENOSPACE] = {"no_space", "The disk is full; free space on the machine that is named.", KW_CLASS_RETRY},
	[KW_EBUSY] = {"busy", "Too many requests at once; try again later.", KW_CLASS_RETRY},
	[KW_ECLOSED] = {"closed", "The connection was closed; try again.", KW_CLASS_RETRY},
	[KW_ETIMEOUT] = {"timeout", "It took too long; try again.", KW_CLASS_RETRY},
	[KW_EOFFLINE] = {"offline", "The hub cannot be reached now; messages wait and leave by themselves.", KW_CLASS_RETRY},
	[KW_EIO] = {"io", "A read, write or sync failed; look at the disk, then restart.", KW_CLASS_FATAL},
	[KW_ECORRUPT] = {"corrupt", "Stored bytes are damaged; they were set aside.", KW_CLASS_FATAL},
	[KW_ENOMEM] = {"no_memory", "Out of memory.", KW_CLASS_FATAL},
	[KW_ECRYPTO] = {"crypto", "The cryptographic library refused an operation that must succeed.", KW_CLASS_FATAL},
	[KW_ERECALLED] = {"recalled", "Its sender took it back before it arrived, because consent was withdrawn.", KW_CLASS_REJECT},
	[KW_EUNCONFIRMED] = {"unconfirmed", "It may have arrived, but no receipt came before its expiry; telephone the other agency.",
		KW_CLASS_REJECT},
	[KW_EKEYGONE] = {"key_gone", "The recipient has destroyed the key that it was sealed to; send it again, or telephone the other agency.",
		KW_CLASS_REJECT},
};

static const struct row *find(enum kw_err err)
{
	if ((unsigned)err >= KW_ERR_COUNT)
		return NULL;
	return &TABLE[err];
}

const char *kw_err_name(enum kw_err err)
{
	const struct row *row = find(err);
	return row ? row->name : "unknown";
}

const char *kw_err_text(enum kw_err err)
{
	const struct row *row = find(err);
	return row ? row->text : "Unknown error.";
}

enum kw_err_class kw_err_class(enum kw_err err)
{
	const struct row *row = find(err);
	return row ? row->class : KW_CLASS_FATAL;
}

enum kw_err kw_err_from_name(const char *name)
{
	for (int i = 0; i < KW_ERR_COUNT; i++)
		if (strcmp(TABLE[i].name, name) == 0)
			return (enum kw_err)i;
	return KW_ERR_COUNT;
}
