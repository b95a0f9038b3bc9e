"""Spam: machines are held back, and people of every language get through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import spam
from schema.draft import draft
from schema.payload import Fields
from schema.spam import POINTS, Noticed, Verdict, judge

PEOPLE = {
    "english": ("Ana O'Brien", "Hi, could you send me a quote for 25 seats? We'd like to start in March. Ana"),
    "short": ("Bo", "call me"),
    "shouting": ("MIKE", "PLEASE CALL ME BACK ABOUT THE INVOICE!!! IT IS URGENT!!!"),
    "german": ("Jürgen Großschädl", "Rechtsschutzversicherungsgesellschaften brauchen ein Angebot für Angstschweiß."),
    "french": ("Zoë Lefèvre", "Bonjour, nous cherchons une solution pour 40 collaborateurs. Pouvez-vous m’appeler ?"),
    "spanish": ("María José Núñez", "¿Cuánto cuesta la versión para empresas? ¡Muchas gracias!"),
    "portuguese": ("João Conceição", "Gostaria de marcar uma demonstração para a próxima semana."),
    "italian": ("Nicolò D'Angelo", "Perché non c'è il prezzo sul sito? Grazie mille."),
    "dutch": ("Sjoerd van 't Hof", "Kunt u mij een offerte sturen voor de angstschreeuwcursus?"),
    "polish": ("Łukasz Brzęczyszczykiewicz", "Dzień dobry, proszę o ofertę dla firmy z Chrząszczyżewoszyc."),
    "czech": ("Přemysl Čtvrtníček", "Strč prst skrz krk. Prosím o nabídku, díky moc."),
    "croatian": ("Hrvoje Grgić", "Trebamo ponudu za tvrtku na Krku, najbrže što može."),
    "hungarian": ("Győző Szűcs", "Kérnék egy árajánlatot a megszentségteleníthetetlenségeskedéseitekért."),
    "finnish": ("Päivi Hyyryläinen", "Haluaisin tarjouksen lentokonesuihkuturbiinimoottoriapumekaanikolle."),
    "welsh": ("Rhys Llwyd", "Dwi isio pris i'r swyddfa yn Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch."),
    "turkish": ("Işıl Çağlayan", "Merhaba, çekoslovakyalılaştıramadıklarımızdan mısınız? Fiyat rica ederim."),
    "vietnamese": ("Nguyễn Thị Hồng", "Xin chào, tôi muốn biết giá cho 10 người dùng. Cảm ơn."),
    "greek": ("Γιώργος Παπαδόπουλος", "Καλησπέρα, θα ήθελα μια προσφορά για το CRM σας."),
    "russian": ("Ольга Щедрина", "Здравствуйте! Пришлите, пожалуйста, прайс в PDFке и презентацию по CRMке."),
    "russian jargon": ("Дмитрий", "Нужен SMMщик и IT-отдел, B2B-продажи, emailы есть. WhatsApp подключаете?"),
    "ukrainian": ("Їжак Володимир", "Доброго дня, цікавить інтеграція з вашим API для 5 філій."),
    "serbian both": ("Đorđe Ђорђевић", "Pišem latinicom, а колега пише ћирилицом. Pošaljite ponudu."),
    "bulgarian": ("Щерьо Ъглев", "Моля, изпратете оферта за нашия офис в София."),
    "georgian": ("ნინო ბერიძე", "გამარჯობა, მაინტერესებს ფასი გუნდისთვის."),
    "armenian": ("Արամ Սարգսյան", "Բարև ձեզ, ուզում եմ իմանալ գները։"),
    "hebrew": ("נועה כהן", "שלום, אשמח לקבל הצעת מחיר למערכת CRM עבור 12 עובדים."),
    "arabic": ("محمد عبد الله", "السلام عليكم، أرغب في عرض سعر لعشرين موظفًا. شكرًا جزيلاً."),
    "persian": ("سارا می‌رزایی", "سلام، لطفاً قیمت‌ها را برای من بفرستید."),
    "urdu": ("عائشہ خان", "السلام علیکم، مجھے قیمتیں درکار ہیں۔"),
    "hindi": ("अनीता शर्मा", "नमस्ते, हमें 50 लोगों के लिए CRM चाहिए। कृपया संपर्क करें।"),
    "tamil": ("கவிதா", "வணக்கம், விலை விவரங்களை அனுப்பவும்."),
    "bengali": ("রহিম উদ্দিন", "নমস্কার, দাম জানতে চাই।"),
    "thai": ("สมชาย ใจดี", "สวัสดีครับ ขอใบเสนอราคาสำหรับ 10 คนครับ"),
    "khmer": ("សុខ ដារា", "សួស្តី តើតម្លៃប៉ុន្មាន?"),
    "chinese": ("王小明", "您好，我们公司有200名员工，想了解一下CRM系统的价格和WiFi环境要求。"),
    "japanese": ("山田太郎", "お世話になっております。Tシャツの見積もりをお願いいたします。"),
    "korean": ("김민수", "안녕하세요, PDF로 견적서를 보내주세요. 감사합니다."),
    "amharic": ("አበበ", "ሰላም፣ ዋጋውን ማወቅ እፈልጋለሁ።"),
    "emoji": ("🌸 Lena", "Love it 😍😍😍 when can we start??? 🙏🙏"),
    "one link": ("Tom Ray", "We saw https://blog.example/post about you and would like the same for our shop."),
    "two links": ("Tom Ray", "Our shop: https://shop.example and the old one: http://old.example — can you move it?"),
    "own links": ("Ida Berg", "Broken: https://berg.example/a berg.example/b www.berg.example/c https://berg.example/d"),
    "links to one site": ("Ed", " ".join(f"Broken: https://shop.example/{page}" for page in range(9))),
    "developer": ("Dev", 'Your snippet <a href="/x">x</a> fails in [url=...] mode; if (a<b) { return [1, 2]; }'),
    "camel case": ("JeanPierreVanDamme", "Bonjour"),
    "company in camel case": ("DeLaRosaMcKinley", "HubSpotSalesforceIntegration"),
    "long id": ("Kim", "My order is A7KQ-PPXZ-0001 and my key ends in aBcDeFgH1234."),
    "business words": ("Rita", "Free trial? Discount or prize? Our customers are casinos, crypto and pharma."),
}  # fmt: skip


def weighed(noticed: Noticed = Noticed(), /, **fields: str) -> Verdict:  # noqa: B008 - it never changes
    return judge(draft(Fields(dict(fields), [])), noticed)


def codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


@pytest.mark.parametrize("who", PEOPLE)
def test_a_person_gets_through_whatever_their_language(who: str) -> None:
    name, message = PEOPLE[who]
    verdict = weighed(name=name, message=message, email="someone@berg.example", company="Berg & Co")
    assert verdict.points <= POINTS["markup_link"] < spam.HOLD, verdict
    if who != "developer":
        assert not verdict.reasons


@pytest.mark.parametrize("who", sorted(PEOPLE.keys() - {"developer"}))
def test_a_person_gets_through_from_a_page_open_for_days_with_a_mailbox_for_a_day(who: str) -> None:
    name, message = PEOPLE[who]
    slow = Noticed(token="old", age_s=500_000.0, repeats=1)
    assert weighed(slow, name=name, message=message, email="x@yopmail.com").points < spam.HOLD


def test_the_field_nobody_sees_is_enough_alone() -> None:
    assert weighed(Noticed(trapped=True), email="ana@example.com").points >= spam.HOLD


@pytest.mark.parametrize("code", sorted(POINTS.keys() - {"honeypot_filled"}))
def test_no_other_sign_is_enough_alone(code: str) -> None:
    assert POINTS[code] < spam.HOLD


@pytest.mark.parametrize(
    ("fields", "noticed", "expected"),
    [
        ({"message": "Buy now " + " ".join(f"http://x{n}.example/p" for n in range(7))}, Noticed(age_s=0.4),
         {"many_links", "too_fast"}),
        ({"message": "[url=http://pills.example]pills[/url] http://a.example http://b.example"}, Noticed(token="none"),
         {"markup_link", "links", "token_missing"}),
        ({"name": "kQzWbTrXmPlo", "message": "xKpTrWqZsDvBn"}, Noticed(), {"gibberish"}),
        ({"name": "Win www.prize.example", "email": "a@mailinator.com"}, Noticed(),
         {"link_in_name", "disposable_domain"}),
        ({"message": "Best c\u0430s\u0456n\u043e bonus"}, Noticed(token="none"), {"mixed_scripts", "token_missing"}),
        ({"name": "RobertTob", "company": "RobertTob", "topic": "RobertTob", "message": "hi"}, Noticed(token="forged"),
         {"same_text_everywhere", "token_forged"}),
        ({"message": "We offer the best prices for your page."}, Noticed(repeats=12, token="none"),
         {"flood_of_the_same", "token_missing"}),
    ],
)  # fmt: skip
def test_what_a_machine_sends_is_held_and_each_sign_is_named(
    fields: dict[str, str], noticed: Noticed, expected: set[str]
) -> None:
    verdict = weighed(noticed, **fields)
    assert codes(verdict) == expected
    assert verdict.points >= spam.HOLD


def test_the_heaviest_sign_comes_first() -> None:
    verdict = weighed(Noticed(trapped=True, token="none", age_s=0.1), email="a@mailinator.com")
    assert [reason.points for reason in verdict.reasons] == sorted((r.points for r in verdict.reasons), reverse=True)
    assert verdict.reasons[0].code == "honeypot_filled"


def test_a_journey_can_give_a_sign_other_points_or_none() -> None:
    read = draft(Fields({"email": "a@mailinator.com"}, []))
    assert judge(read, Noticed(), {"disposable_domain": 99}).points == 99
    assert not judge(read, Noticed(), {"disposable_domain": 0}).reasons


@given(st.dictionaries(st.sampled_from(["name", "message", "company", "email", "topic"]), st.text(max_size=300)))
def test_whatever_is_typed_is_weighed_and_never_below_nothing(fields: dict[str, str]) -> None:
    verdict = weighed(**fields)
    assert verdict == weighed(**fields)
    assert all(reason.points > 0 and reason.code in POINTS for reason in verdict.reasons)
    assert len(codes(verdict)) == len(verdict.reasons)
