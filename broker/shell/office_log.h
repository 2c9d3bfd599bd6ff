#ifndef BROKER_OFFICE_LOG_H
#define BROKER_OFFICE_LOG_H

#include "broker/shell/log_verify.h"
#include "broker/shell/office.h"

/* The key that signs the checkpoints of this hub's audit log: log.key in its folder, mode 0400, as the other keys, and in the
 * root. KW_EAUTH: it is not the one that the root has in charge; errors of file.h. Wipe it after use. */
KW_MUST_USE enum kw_err office_log_key(const struct office *office, struct kw_ed25519 *out);
/* The same at a start: a failure is logged. */
KW_MUST_USE enum kw_err office_log_open(const struct office *office, struct kw_ed25519 *out);

/* The keys of the log by every root of this folder, beside a broker that may run. keys: free. A failure is logged. */
KW_MUST_USE enum kw_err office_log_keys(const struct config *config, struct log_keys *out);

#endif
