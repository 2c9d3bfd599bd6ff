#ifndef AGENT_SHELL_ATTACH_REF_H
#define AGENT_SHELL_ATTACH_REF_H

#include <stdbool.h>

#include "kinward/v1/types.pb-c.h"

/* Finds the attachments that a message names, wherever in it they stand: the schema is asked, so a new kind of message
 * needs no line here. Calls `each` until it says false; gives false then. */
bool attach_ref_each(const ProtobufCMessage *message, bool (*each)(void *user, const Kinward__V1__AttachmentRef *ref),
	void *user);

#endif
