#include "proto/wire/enrol.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/crypt.h"

static const char PREFIX[] = "KW1";
static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define FIXED_SIZE (KW_ENROL_SECRET_SIZE + KW_DIGEST_SIZE)
#define CRC_SIZE 4u
#define RAW_SIZE_MAX (FIXED_SIZE + 1 + KW_NAME_SIZE_MAX + KW_ENROL_ADDRESS_SIZE_MAX + CRC_SIZE)
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
	size_t agency_size = strnlen(code->agency.text, KW_NAME_SIZE_MAX);
	if (!address_good(code->address, address_size) || agency_size == 0)
		return KW_EFIELD;
	memcpy(raw, code->secret, KW_ENROL_SECRET_SIZE);
	memcpy(raw + KW_ENROL_SECRET_SIZE, code->root_fingerprint.bytes, KW_DIGEST_SIZE);
	size_t size = FIXED_SIZE;
	raw[size++] = (uint8_t)agency_size;
	memcpy(raw + size, code->agency.text, agency_size);
	size += agency_size;
	memcpy(raw + size, code->address, address_size);
	size += address_size;
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

/* u8 size of the agency's name, the name, and the address to the end. */
static enum kw_err read_names(struct kw_view bytes, struct kw_enrol_code *out)
{
	size_t agency_size = bytes.data[0];
	if (agency_size > KW_NAME_SIZE_MAX || agency_size + 1 >= bytes.size ||
		kw_name_from(KW_VIEW(bytes.data + 1, agency_size), &out->agency) != KW_OK)
		return KW_EFORMAT;
	const char *address = (const char *)bytes.data + 1 + agency_size;
	size_t address_size = bytes.size - 1 - agency_size;
	if (!address_good(address, address_size))
		return KW_EFORMAT;
	memcpy(out->address, address, address_size);
	return KW_OK;
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
	if (kw_get_u32(raw + size) != kw_crc32c(0, raw, size))
		return KW_EAUTH;
	struct kw_enrol_code code;
	memset(&code, 0, sizeof(code));
	enum kw_err err = read_names(KW_VIEW(raw + FIXED_SIZE, size - FIXED_SIZE), &code);
	if (err == KW_OK) {
		memcpy(code.secret, raw, KW_ENROL_SECRET_SIZE);
		memcpy(code.root_fingerprint.bytes, raw + KW_ENROL_SECRET_SIZE, KW_DIGEST_SIZE);
		*out = code;
	}
	kw_wipe(&code, sizeof(code));
	kw_wipe(raw, sizeof(raw));
	return err;
}

enum kw_err kw_enrol_code_id(const uint8_t *secret, uint8_t id[KW_ENROL_ID_SIZE])
{
	struct kw_digest digest;
	const struct kw_view parts[] = {kw_view_str("kw1 code id"), KW_VIEW(secret, KW_ENROL_SECRET_SIZE)};
	enum kw_err err = kw_sha256(parts, 2, &digest);
	if (err == KW_OK)
		memcpy(id, digest.bytes, KW_ENROL_ID_SIZE);
	return err;
}

enum kw_err kw_enrol_code_key(const uint8_t *secret, struct kw_digest *key)
{
	const struct kw_view label = kw_view_str("kw1 code key");
	return kw_hmac_sha256(KW_VIEW(secret, KW_ENROL_SECRET_SIZE), &label, 1, key);
}
