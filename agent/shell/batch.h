#ifndef AGENT_SHELL_BATCH_H
#define AGENT_SHELL_BATCH_H

#include "agent/shell/spool.h"
#include "kinward/v1/receipt.pb-c.h"
#include "proto/wire/curve.h"

/* The signature of a Receipt: made when we write one, checked before one of others is believed. */

/* Sets receipt->signature. signature: KW_SIGNATURE_SIZE bytes that outlive the receipt. KW_EFIELD, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err batch_sign(Kinward__V1__Receipt *receipt, const struct kw_ed25519 *identity, uint8_t *signature);

/* The entries of a validated Receipt into op->u.receive, and what proves each into op->proof; of one without a signature the
 * entries alone. identity_key: of the agency whose envelope it came in.
 * KW_EAUTH  it has a signature, which is not that agency's: nothing of it may be believed
 * KW_ENOMEM, KW_ECRYPTO */
KW_MUST_USE enum kw_err batch_take(const Kinward__V1__Receipt *receipt, const uint8_t *identity_key, struct spool_op *op);

#endif
