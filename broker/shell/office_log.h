#ifndef BROKER_OFFICE_LOG_H
#define BROKER_OFFICE_LOG_H

#include "broker/shell/config.h"
#include "proto/wire/curve.h"

/* The key that signs the checkpoints of this hub's audit log: log.key in its folder, mode 0400, as the other keys. A hub that
 * has none gets one. A failure is logged here. KW_EDENIED, KW_EAUTH, KW_EFORMAT, KW_EIO, KW_ENOSPACE. Wipe it after use. */
KW_MUST_USE enum kw_err office_log_key(const struct config *config, struct kw_ed25519 *out);

#endif
