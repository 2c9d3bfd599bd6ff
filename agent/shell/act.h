#ifndef AGENT_SHELL_ACT_H
#define AGENT_SHELL_ACT_H

#include "agent/shell/spool.h"
#include "kinward/v1/content.pb-c.h"

/* What a content does to the thread that it travels in: opens it, moves it to a state, or nothing. The one place that
 * knows which messages of the catalogue are whose events. */

/* content  validated
 * out      kind KW_THREAD_NONE when it has no place in a thread */
void act_of(const Kinward__V1__Content *content, struct spool_act *out);
/* The same from bytes that were checked when they were stored; kind KW_THREAD_NONE also when they cannot be read. */
void act_of_bytes(struct kw_view bytes, struct spool_act *out);
/* The field that declares the state, such as "referral_event.state"; "" for other contents. */
const char *act_field(const Kinward__V1__Content *content);
/* The match that a content is about, whose thread has the same id; NULL for other contents. */
const ProtobufCBinaryData *act_match(const Kinward__V1__Content *content);

#endif
