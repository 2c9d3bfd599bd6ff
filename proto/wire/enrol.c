#include "proto/wire/enrol.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/crypt.h"
#include "proto/wire/frame.h"
#include "proto/wire/pbscan.h"

static const char PREFIX[] = "KW1";
static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define FIXED_SIZE (KW_ENROL_SECRET_SIZE + KW_DIGEST_SIZE)
#define CRC_SIZE 4u
#define RAW_SIZE_MAX (FIXED_SIZE + KW_ENROL_ADDRESS_SIZE_MAX + CRC_SIZE)
#define GROUP_SIZE 5u

static bool address_good(const char *address, size_t size)
{
	if (size == 0 || size > KW_ENROL_ADDRESS_SIZE_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (address[i] <= ' ' || address[i] > '~')
			return false;
	return true;
}

enum kw_err kw_enrol_code_format(const struct kw_enrol_code *code, char out[KW_ENROL_TEXT_SIZE_MAX])
{
	uint8_t raw[RAW_SIZE_MAX];
	size_t address_size = strnlen(code->address, sizeof(code->address));
	if (!address_good(code->address, address_size))
		return KW_EFIELD;
	memcpy(raw, code->secret, KW_ENROL_SECRET_SIZE);
	memcpy(raw + KW_ENROL_SECRET_SIZE, code->root_fingerprint.bytes, KW_DIGEST_SIZE);
	memcpy(raw + FIXED_SIZE, code->address, address_size);
	size_t size = FIXED_SIZE + address_size;
	kw_put_u32(raw + size, kw_crc32c(0, raw, size));
	size += CRC_SIZE;

	memcpy(out, PREFIX, sizeof(PREFIX) - 1);
	size_t at = sizeof(PREFIX) - 1;
	size_t digits = (size * 8 + 4) / 5;
	KW_ASSERT(at + digits + digits / GROUP_SIZE + 2 <= KW_ENROL_TEXT_SIZE_MAX);
	for (size_t i = 0; i < digits; i++) {
		uint32_t pair = (uint32_t)raw[i * 5 / 8] << 8;
		if (i * 5 / 8 + 1 < size)
			pair |= raw[i * 5 / 8 + 1];
		if (i % GROUP_SIZE == 0)
			out[at++] = '-';
		out[at++] = DIGITS[(pair >> (11 - i * 5 % 8)) & 31u];
	}
	out[at] = '\0';
	kw_wipe(raw, sizeof(raw));
	return KW_OK;
}

static int digit_value(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'I' || c == 'L')
		c = '1';
	if (c == 'O')
		c = '0';
	const char *found = c == '\0' ? NULL : strchr(DIGITS, c);
	return found == NULL ? -1 : (int)(found - DIGITS);
}

/* Reads the digits into raw; false on a foreign character or too many of them. */
static bool read_digits(const char *text, uint8_t *raw, size_t *size)
{
	uint32_t bits = 0;
	unsigned count = 0;
	*size = 0;
	for (; *text != '\0'; text++) {
		if (*text == '-' || *text == ' ' || *text == '\n' || *text == '\r')
			continue;
		int value = digit_value(*text);
		if (value < 0)
			return false;
		bits = (bits << 5 | (uint32_t)value) & 0xfffu;
		count += 5;
		if (count < 8)
			continue;
		if (*size == RAW_SIZE_MAX)
			return false;
		count -= 8;
		raw[(*size)++] = (uint8_t)(bits >> count);
	}
	return (bits & ((1u << count) - 1u)) == 0;
}

enum kw_err kw_enrol_code_parse(const char *text, struct kw_enrol_code *out)
{
	uint8_t raw[RAW_SIZE_MAX];
	size_t size;
	if ((text[0] == 'K' || text[0] == 'k') && (text[1] == 'W' || text[1] == 'w') && text[2] >= '2' && text[2] <= '9')
		return KW_EVERSION;
	if (strncmp(text, PREFIX, sizeof(PREFIX) - 1) != 0 && strncmp(text, "kw1", 3) != 0)
		return KW_EFORMAT;
	if (!read_digits(text + sizeof(PREFIX) - 1, raw, &size) || size <= FIXED_SIZE + CRC_SIZE)
		return KW_EFORMAT;
	size -= CRC_SIZE;
	const char *address = (const char *)raw + FIXED_SIZE;
	if (kw_get_u32(raw + size) != kw_crc32c(0, raw, size))
		return KW_EAUTH;
	if (!address_good(address, size - FIXED_SIZE))
		return KW_EFORMAT;
	struct kw_enrol_code code;
	memset(&code, 0, sizeof(code));
	memcpy(code.secret, raw, KW_ENROL_SECRET_SIZE);
	memcpy(code.root_fingerprint.bytes, raw + KW_ENROL_SECRET_SIZE, KW_DIGEST_SIZE);
	memcpy(code.address, address, size - FIXED_SIZE);
	*out = code;
	kw_wipe(raw, sizeof(raw));
	return KW_OK;
}

#define PROOF_LABEL "kw1 enrol"
#define PROOF_SIZE (sizeof(PROOF_LABEL) - 1 + KW_ENROL_SECRET_SIZE + KW_DIGEST_SIZE + KW_KEY_SIZE)

static enum kw_err proof_bytes(const struct kw_enrol_request *claim, uint8_t out[PROOF_SIZE])
{
	struct kw_digest digest;
	enum kw_err err = kw_sha256(&claim->csr, 1, &digest);
	if (err != KW_OK)
		return err;
	memcpy(out, PROOF_LABEL, sizeof(PROOF_LABEL) - 1);
	out += sizeof(PROOF_LABEL) - 1;
	memcpy(out, claim->secret, KW_ENROL_SECRET_SIZE);
	memcpy(out + KW_ENROL_SECRET_SIZE, digest.bytes, KW_DIGEST_SIZE);
	memcpy(out + KW_ENROL_SECRET_SIZE + KW_DIGEST_SIZE, claim->sealing_key, KW_KEY_SIZE);
	return KW_OK;
}

static enum kw_err prove(const struct kw_enrol_request *claim, const struct kw_ed25519 *identity,
	uint8_t proof[KW_SIGNATURE_SIZE])
{
	uint8_t bytes[PROOF_SIZE];
	enum kw_err err = proof_bytes(claim, bytes);
	if (err == KW_OK)
		err = kw_ed25519_sign(identity, KW_VIEW_OF(bytes), proof);
	kw_wipe(bytes, sizeof(bytes));
	return err;
}

static enum kw_err verify(const struct kw_enrol_request *claim, const uint8_t *identity_key, struct kw_view proof)
{
	uint8_t bytes[PROOF_SIZE];
	enum kw_err err = proof_bytes(claim, bytes);
	if (err == KW_OK)
		err = kw_ed25519_verify(identity_key, KW_VIEW_OF(bytes), proof);
	kw_wipe(bytes, sizeof(bytes));
	return err;
}

enum kw_err kw_enrol_file_name(const uint8_t *secret, char out[KW_ENROL_FILE_SIZE])
{
	static const char FOLDER[] = "enrol/";
	struct kw_digest digest;
	struct kw_view part = KW_VIEW(secret, KW_ENROL_SECRET_SIZE);
	enum kw_err err = kw_sha256(&part, 1, &digest);
	if (err != KW_OK)
		return err;
	memcpy(out, FOLDER, sizeof(FOLDER) - 1);
	kw_hex(out + sizeof(FOLDER) - 1, KW_VIEW(digest.bytes, KW_DIGEST_SIZE / 2));
	return KW_OK;
}

enum kw_err kw_enrol_request_add(struct kw_buf *out, const struct kw_enrol_request *request,
	const struct kw_ed25519 *identity)
{
	uint8_t proof[KW_SIGNATURE_SIZE];
	if (request->csr.size < 1 || request->csr.size > KW_ENROL_CSR_SIZE_MAX)
		return KW_EFIELD;
	enum kw_err err = prove(request, identity, proof);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, KW_VIEW(request->secret, KW_ENROL_SECRET_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, request->csr);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW(identity->public_key, KW_KEY_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, KW_VIEW(request->sealing_key, KW_KEY_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, KW_VIEW_OF(proof));
	return err;
}

enum kw_err kw_enrol_request_parse(struct kw_view bytes, struct kw_enrol_request *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_enrol_request request = {.secret = NULL};
	request.secret = kw_pb_need_bytes(&pb, 1, KW_ENROL_SECRET_SIZE, KW_ENROL_SECRET_SIZE).data;
	request.csr = kw_pb_need_bytes(&pb, 2, 1, KW_ENROL_CSR_SIZE_MAX);
	request.identity_key = kw_pb_need_bytes(&pb, 3, KW_KEY_SIZE, KW_KEY_SIZE).data;
	request.sealing_key = kw_pb_need_bytes(&pb, 4, KW_KEY_SIZE, KW_KEY_SIZE).data;
	struct kw_view proof = kw_pb_need_bytes(&pb, 5, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = verify(&request, request.identity_key, proof);
	if (err == KW_OK)
		*out = request;
	return err;
}

enum kw_err kw_enrol_reply_add(struct kw_buf *out, const struct kw_enrol_reply *reply)
{
	if (reply->certificates_count < 1 || reply->certificates_count > KW_ENROL_CERTIFICATES_MAX)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(reply->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, kw_view_str(reply->hub.text));
	for (size_t i = 0; err == KW_OK && i < reply->certificates_count; i++)
		err = kw_pb_add_bytes(out, 3, reply->certificates[i]);
	return err;
}

enum kw_err kw_enrol_reply_parse(struct kw_view bytes, struct kw_enrol_reply *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_enrol_reply reply;
	memset(&reply, 0, sizeof(reply));
	struct kw_view agency = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	struct kw_view hub = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
	do {
		if (reply.certificates_count == KW_ENROL_CERTIFICATES_MAX)
			return KW_EFIELD;
		reply.certificates[reply.certificates_count++] = kw_pb_need_bytes(&pb, 3, 1, KW_ENROL_CERTIFICATE_SIZE_MAX);
	} while (kw_pb_is_next(&pb, 3));
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(agency, &reply.agency);
	if (err == KW_OK)
		err = kw_name_from(hub, &reply.hub);
	if (err == KW_OK)
		*out = reply;
	return err;
}
