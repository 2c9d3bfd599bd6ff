#ifndef KW_WIRE_SPELLING_H
#define KW_WIRE_SPELLING_H

/* Turns the path of a field from the schema's spelling into the one that people write and read, that of JSON, in place:
 * referral_request.case_ref becomes referralRequest.caseRef. It never grows. A path that is spelled so already stays. */
void kw_spell_json(char *path);

#endif
