"""
Words people use for the fields of a lead, in the languages that our first users' forms are written in.

Keys are in the form that `normal_name` gives: lower case, without separators.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SEPARATORS: Final = re.compile(r"[\W_]+")


@lru_cache(maxsize=4096)
def normal_name(name: str) -> str:
    """Bring a field name to the form that aliases are compared in: lower case, without separators."""
    return _SEPARATORS.sub("", name).casefold()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALIASES: Final[dict[str, str]] = {
    alias: field
    for field, aliases in {
        "email": "email emailaddress mail youremail useremail workemail businessemail contactemail emailadresse "
        "epost correo correoelectronico courriel",
        "name": "name fullname yourname contactname displayname vollername nombre",
        "first_name": "firstname givenname fname vorname prenom prénom",
        "last_name": "lastname surname familyname lname nachname nom apellido apellidos",
        "phone": "phone phonenumber tel telephone mobile mobilephone mobilenumber cell yourphone telefon "
        "telefonnummer handy telefono teléfono téléphone",
        "company": "company companyname organisation organization org firma unternehmen empresa entreprise "
        "yourcompany accountname",
        "website": "website homepage companywebsite companyurl companydomain webseite",
        "employees": "employees employeecount numberofemployees companysize teamsize mitarbeiter",
        "country": "country countrycode land pais país pays",
        "language": "language lang locale preferredlanguage sprache idioma langue",
        "interests": "interests interest topics interestedin products interessen intereses",
        "message": "message yourmessage comment comments note notes body question nachricht mensaje inquiry enquiry",
        "preferences": "preferences preference",
        "occurred_at": "occurredat timestamp submittedat createdat createdtime datetime",
        "attribution": "attribution",
        "attribution.gclid": "gclid",
        "attribution.gbraid": "gbraid",
        "attribution.wbraid": "wbraid",
        "attribution.fbclid": "fbclid",
        "attribution.msclkid": "msclkid",
        "attribution.ttclid": "ttclid",
        "attribution.li_fat_id": "lifatid",
        "attribution.referrer": "referrer referer httpreferer",
        "attribution.landing_page": "landingpage landingurl pageurl",
        "consent": "consent consents",
        "consent.marketing": "marketingconsent marketing marketingoptin optin newsletter newsletteroptin subscribe "
        "emailconsent emailoptin acceptsmarketing consentmarketing",
        "consent.privacy": "privacy privacypolicy privacyconsent gdpr gdprconsent dsgvo datenschutz consentprivacy "
        "acceptprivacy",
        "consent.terms": "terms termsofservice acceptterms tos agb",
    }.items()
    for alias in aliases.split()
}  # fmt: skip
OWN: Final = frozenset(ALIASES.values()) | {"external_id", "kind"}
GROUPS: Final = ("attribution", "consent", "custom", "preferences")

YES: Final = _words("1 accept accepted agree agreed checked ja j oui on si sí true y yes granted")
NO: Final = _words("0 declined denied false n nein no non off unchecked")

COUNTRIES: Final = _words(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA "
    "CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA "
    "GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP "
    "KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS "
    "MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS "
    "RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW "
    "TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
"""ISO 3166-1 alpha-2."""
COUNTRY_NAMES: Final[dict[str, str]] = {
    name: code
    for code, names in {
        "AE": "are unitedarabemirates uae", "AR": "arg argentina", "AT": "aut austria österreich oesterreich",
        "AU": "aus australia", "BE": "bel belgium belgien belgique belgië", "BG": "bgr bulgaria",
        "BR": "bra brazil brasil brasilien", "CA": "can canada kanada", "CH": "che switzerland schweiz suisse svizzera",
        "CL": "chl chile", "CN": "chn china", "CO": "col colombia", "CY": "cyp cyprus",
        "CZ": "cze czechia czechrepublic tschechien", "DE": "deu germany deutschland allemagne alemania",
        "DK": "dnk denmark dänemark danmark", "EE": "est estonia", "EG": "egy egypt", "ES": "esp spain spanien españa",
        "FI": "fin finland finnland suomi", "FR": "fra france frankreich francia",
        "GB": "gbr uk unitedkingdom greatbritain england scotland wales grossbritannien großbritannien",
        "GR": "grc el greece griechenland", "HK": "hkg hongkong", "HR": "hrv croatia kroatien hrvatska",
        "HU": "hun hungary ungarn", "ID": "idn indonesia", "IE": "irl ireland irland", "IL": "isr israel",
        "IN": "ind india indien", "IS": "isl iceland", "IT": "ita italy italien italia", "JP": "jpn japan",
        "KE": "ken kenya", "KR": "kor southkorea korea", "LI": "lie liechtenstein", "LT": "ltu lithuania",
        "LU": "lux luxembourg luxemburg", "LV": "lva latvia", "MA": "mar morocco", "MT": "mlt malta",
        "MX": "mex mexico méxico", "MY": "mys malaysia", "NG": "nga nigeria",
        "NL": "nld netherlands thenetherlands niederlande nederland holland", "NO": "nor norway norwegen norge",
        "NZ": "nzl newzealand", "PE": "per peru", "PH": "phl philippines", "PK": "pak pakistan",
        "PL": "pol poland polen polska", "PT": "prt portugal", "RO": "rou romania rumänien", "RS": "srb serbia",
        "SA": "sau saudiarabia", "SE": "swe sweden schweden sverige", "SG": "sgp singapore",
        "SI": "svn slovenia slowenien", "SK": "svk slovakia slowakei", "TH": "tha thailand",
        "TR": "tur turkey türkiye turkei türkei", "TW": "twn taiwan", "UA": "ukr ukraine",
        "US": "usa unitedstates unitedstatesofamerica america", "VN": "vnm vietnam", "ZA": "zaf southafrica",
    }.items()
    for name in names.split()
}  # fmt: skip
LANGUAGES: Final[dict[str, str]] = {
    "german": "de", "deutsch": "de", "english": "en", "englisch": "en", "french": "fr", "français": "fr",
    "französisch": "fr", "spanish": "es", "español": "es", "spanisch": "es", "italian": "it", "italiano": "it",
    "italienisch": "it", "portuguese": "pt", "português": "pt", "dutch": "nl", "nederlands": "nl", "polish": "pl",
    "polski": "pl", "turkish": "tr", "türkçe": "tr", "türkisch": "tr",
}  # fmt: skip
DROPPED: Final = frozenset({"__proto__", "constructor", "prototype"})
"""Names that are dangerous in somebody's JavaScript (ASVS 15.3.6): the receipt keeps them, we do not pass them on."""
CONTAINERS: Final = _words("contact customer data fields formdata lead person properties traits user values")
CLAIMS: Final = _words("agent at date givenat ip ipaddress timestamp time useragent")
"""Parts of a consent that only the server can attest; what the payload says of them is not believed."""
UTM: Final = _words("utmsource utmmedium utmcampaign utmterm utmcontent utmid")
