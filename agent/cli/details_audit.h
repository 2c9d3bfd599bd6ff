#ifndef AGENT_CLI_DETAILS_AUDIT_H
#define AGENT_CLI_DETAILS_AUDIT_H

/* What `kinward audit ... --help` says. */

#define AUDIT_PROVE_DETAILS                                                                                              \
	"Asks the hub, and verifies its proof, which is kept with a message of ours. The file has all that somebody else\n" \
	"needs to verify it.\n\n  kinward audit prove 5f2c...09 --out proof.bin\n"

#define AUDIT_CHECKPOINT_DETAILS                                                                            \
	"Give the file to another agency of the hub, which compares it with what it was shown.\n\n" \
	"  kinward audit checkpoint --out ours.bin\n"

#define AUDIT_COMPARE_DETAILS                                                                                            \
	"FILE is of their kinward audit checkpoint. Two logs are an alarm. --out writes our checkpoint with the proof that\n" \
	"the log only grew from theirs, for a witness.\n\n  kinward audit compare theirs.bin\n"

#define AUDIT_ACCEPT_DETAILS                                                                                         \
	"For a hub that was restored from a backup, when its operator has explained it. It takes the alarm away and forgets the\n" \
	"checkpoint that was believed: keep both first, with kinward audit checkpoint --out and kinward status. Without an alarm\n" \
	"it is refused.\n\n"       \
	"  kinward audit accept\n"

#define AUDIT_VERIFY_DETAILS \
	"Every row, leaf, node and checkpoint that was shown; the broker may run.\n\n  kinward audit verify\n"

#define AUDIT_FORGET_DETAILS                                                                                     \
	"The log and its proofs stay; this envelope can be proved no more. The broker looks through a million leaves a second.\n\n" \
	"  kinward audit forget 5f2c...09\n"

#define AUDIT_WITNESS_DETAILS                                                                                              \
	"FILE is that hub's checkpoint, with the proof from the one of --previous (kinward audit compare --out).\n\n" \
	"  kinward audit witness new.bin --previous old.bin --out statement.bin\n"

#define AUDIT_WITNESSED_DETAILS                                                                                               \
	"FILE is of kinward audit witness. Checks its signature, and that the log which it saw is the one that we were shown. It is\n" \
	"no alarm when not: a witness may be wrong; its checkpoint, to kinward audit compare, decides.\n\n"                         \
	"  kinward audit witnessed statement.bin --key 5f2c...09\n"

#endif
