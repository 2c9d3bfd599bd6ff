/* Which language's spelling a country's names follow. Declared in name_features.h. */

#include <string.h>

#include "proto/wire/name_features.h"

struct country {
	char two[3];
	char three[4];
	enum kw_names_lang lang;
};

/* Where two are in use, the one that misreads the other least; where that is none, ANY, and the country is not here. */
static const struct country COUNTRIES[] = {
	{"AE", "ARE", KW_NAMES_ARABIC}, {"AF", "AFG", KW_NAMES_PERSIAN}, {"AR", "ARG", KW_NAMES_SPANISH},
	{"BF", "BFA", KW_NAMES_FRENCH}, {"BH", "BHR", KW_NAMES_ARABIC}, {"BI", "BDI", KW_NAMES_FRENCH},
	{"BJ", "BEN", KW_NAMES_FRENCH}, {"BO", "BOL", KW_NAMES_SPANISH}, {"BY", "BLR", KW_NAMES_UKRAINIAN},
	{"CD", "COD", KW_NAMES_FRENCH}, {"CF", "CAF", KW_NAMES_FRENCH}, {"CG", "COG", KW_NAMES_FRENCH},
	{"CI", "CIV", KW_NAMES_FRENCH}, {"CL", "CHL", KW_NAMES_SPANISH}, {"CO", "COL", KW_NAMES_SPANISH},
	{"CR", "CRI", KW_NAMES_SPANISH}, {"CU", "CUB", KW_NAMES_SPANISH}, {"DJ", "DJI", KW_NAMES_SOMALI},
	{"DO", "DOM", KW_NAMES_SPANISH}, {"DZ", "DZA", KW_NAMES_ARABIC}, {"EC", "ECU", KW_NAMES_SPANISH},
	{"EG", "EGY", KW_NAMES_ARABIC}, {"ER", "ERI", KW_NAMES_AMHARIC}, {"ES", "ESP", KW_NAMES_SPANISH},
	{"ET", "ETH", KW_NAMES_AMHARIC}, {"FR", "FRA", KW_NAMES_FRENCH}, {"GB", "GBR", KW_NAMES_ENGLISH},
	{"GN", "GIN", KW_NAMES_FRENCH}, {"GT", "GTM", KW_NAMES_SPANISH}, {"HN", "HND", KW_NAMES_SPANISH},
	{"HT", "HTI", KW_NAMES_HAITIAN}, {"IQ", "IRQ", KW_NAMES_ARABIC}, {"IR", "IRN", KW_NAMES_PERSIAN},
	{"JO", "JOR", KW_NAMES_ARABIC}, {"KE", "KEN", KW_NAMES_SWAHILI}, {"KM", "COM", KW_NAMES_ARABIC},
	{"KW", "KWT", KW_NAMES_ARABIC}, {"LB", "LBN", KW_NAMES_ARABIC}, {"LR", "LBR", KW_NAMES_ENGLISH},
	{"LY", "LBY", KW_NAMES_ARABIC}, {"MA", "MAR", KW_NAMES_ARABIC}, {"MG", "MDG", KW_NAMES_FRENCH},
	{"ML", "MLI", KW_NAMES_FRENCH}, {"MR", "MRT", KW_NAMES_ARABIC}, {"MX", "MEX", KW_NAMES_SPANISH},
	{"NE", "NER", KW_NAMES_FRENCH}, {"NI", "NIC", KW_NAMES_SPANISH}, {"OM", "OMN", KW_NAMES_ARABIC},
	{"PA", "PAN", KW_NAMES_SPANISH}, {"PE", "PER", KW_NAMES_SPANISH}, {"PS", "PSE", KW_NAMES_ARABIC},
	{"PY", "PRY", KW_NAMES_SPANISH}, {"QA", "QAT", KW_NAMES_ARABIC}, {"SA", "SAU", KW_NAMES_ARABIC},
	{"SD", "SDN", KW_NAMES_ARABIC}, {"SN", "SEN", KW_NAMES_FRENCH}, {"SO", "SOM", KW_NAMES_SOMALI},
	{"SV", "SLV", KW_NAMES_SPANISH}, {"SY", "SYR", KW_NAMES_ARABIC}, {"TD", "TCD", KW_NAMES_ARABIC},
	{"TG", "TGO", KW_NAMES_FRENCH}, {"TJ", "TJK", KW_NAMES_PERSIAN}, {"TN", "TUN", KW_NAMES_ARABIC},
	{"TZ", "TZA", KW_NAMES_SWAHILI}, {"UA", "UKR", KW_NAMES_UKRAINIAN}, {"US", "USA", KW_NAMES_ENGLISH},
	{"UY", "URY", KW_NAMES_SPANISH}, {"VE", "VEN", KW_NAMES_SPANISH}, {"YE", "YEM", KW_NAMES_ARABIC},
};

static bool is_code(struct kw_view code, const char *of)
{
	if (code.size != strlen(of))
		return false;
	for (size_t i = 0; i < code.size; i++) {
		uint8_t c = code.data[i];
		if ((c >= 'a' && c <= 'z' ? c - 32 : c) != of[i])
			return false;
	}
	return true;
}

enum kw_names_lang kw_names_lang_by_country(struct kw_view code)
{
	for (size_t i = 0; i < sizeof(COUNTRIES) / sizeof(COUNTRIES[0]); i++)
		if (is_code(code, COUNTRIES[i].two) || is_code(code, COUNTRIES[i].three))
			return COUNTRIES[i].lang;
	return KW_NAMES_ANY;
}
