#ifndef KW_WIRE_VALIDATE_ACROSS_H
#define KW_WIRE_VALIDATE_ACROSS_H

#include "proto/wire/validate.h"

/* What holds across the fields of a message whose type has `option (across) = true`. Called by the engine after each
 * field is right by itself: required messages are there, codes are known, numbers are in their range. Every function
 * takes the unpacked message of its name, gives KW_OK or writes the fault with kw_validate_refuse and gives KW_EFIELD. */

KW_MUST_USE enum kw_err kw_across_age_range(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_attachment_ref(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_capacity_reply(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_case_summary(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_consent_update(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_directory_service(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_due_date(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_erase(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_erase_ack(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_follow_up(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_indicator_cell(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_indicator_return(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_inquirer(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_match_candidate(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_match_decision(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_offer_closed(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_partial_date(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_person_verification(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_rapid_assessment(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_receipt_entry(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_referral_event(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_referral_request(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_referred_child(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_reminder(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_reunification(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_separation_case(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_separation_report(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_separation_survey(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_service_claim(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_service_directory(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_service_schedule(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_sought_child(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_supervision_return(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_tracing_event(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_tracing_request(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_transfer_event(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_transfer_offer(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_transfer_request(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_uasc_registration(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_verification(struct kw_walk *walk, const void *message);
KW_MUST_USE enum kw_err kw_across_verification_exchange(struct kw_walk *walk, const void *message);

#endif
