// Which language a text is in: a sentence or two of each that IFEval asks for, and of its neighbours.
#include "worker/evaluate/tasks/language.h"

#include <gtest/gtest.h>

#include <utility>

namespace uaqf::evaluate {
namespace {

class DetectsLanguage : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(DetectsLanguage, OfAShortText) { EXPECT_EQ(DetectLanguage(GetParam().second), GetParam().first); }

INSTANTIATE_TEST_SUITE_P(
    Language, DetectsLanguage,
    testing::Values(
        std::pair("en", "The river runs past the old mill, and children play there every day."),
        std::pair("de", "Der Fluss fließt an der alten Mühle vorbei, und Kinder spielen dort jeden Tag."),
        std::pair("fr", "La rivière passe devant le vieux moulin, et les enfants y jouent tous les jours."),
        std::pair("es", "El río pasa por el viejo molino y los niños juegan allí todos los días."),
        std::pair("pt", "O rio passa pelo velho moinho, e as crianças brincam lá todos os dias, mas não à noite."),
        std::pair("it", "Il fiume scorre davanti al vecchio mulino e i bambini ci giocano tutti i giorni."),
        std::pair("nl", "De rivier stroomt langs de oude molen, en kinderen spelen daar elke dag met hun hond."),
        std::pair("fi", "Joki virtaa vanhan myllyn ohi, ja lapset leikkivät siellä joka päivä, mutta vesi on kylmää."),
        std::pair("pl",
                  "Rzeka płynie obok starego młyna, a dzieci bawią się tam codziennie, bo woda nie jest głęboka."),
        std::pair("sw", "Mto unapita karibu na kinu cha zamani, na watoto hucheza hapo kila siku kwa furaha."),
        std::pair("vi", "Dòng sông chảy qua cối xay cũ và trẻ em chơi ở đó mỗi ngày vì nước không sâu."),
        std::pair("ru", "Река течёт мимо старой мельницы, и дети играют там каждый день, потому что вода тёплая."),
        std::pair("bg", "Реката тече покрай старата мелница и децата играят там всеки ден, защото водата е топла."),
        std::pair("uk", "Річка тече повз старий млин, і діти граються там щодня, бо вода тепла."),
        std::pair("ar", "يمر النهر بجانب الطاحونة القديمة ويلعب الأطفال هناك في كل يوم لأن الماء ليس عميقا."),
        std::pair("fa",
                  "رودخانه از کنار آسیاب قدیمی می‌گذرد و بچه‌ها هر روز در آنجا بازی می‌کنند چون آب گرم "
                  "است."),
        std::pair("ur", "دریا پرانی چکی کے پاس سے گزرتا ہے اور بچے ہر روز وہاں کھیلتے ہیں کیونکہ پانی گہرا نہیں ہے۔"),
        std::pair("hi", "नदी पुरानी चक्की के पास से बहती है और बच्चे हर दिन वहाँ खेलते हैं क्योंकि पानी गहरा नहीं है।"),
        std::pair("mr", "नदी जुन्या गिरणीजवळून वाहते आणि मुले तिथे रोज खेळतात, कारण पाणी खोल नाही आणि ते स्वच्छ आहे."),
        std::pair("ne", "नदी पुरानो घट्टको छेउबाट बग्छ र केटाकेटी त्यहाँ हरेक दिन खेल्छन्, किनभने पानी गहिरो छैन।"),
        std::pair("bn", "নদীটি পুরোনো কলের পাশ দিয়ে বয়ে যায় এবং শিশুরা প্রতিদিন সেখানে খেলে।"),
        std::pair("pa", "ਨਦੀ ਪੁਰਾਣੀ ਚੱਕੀ ਦੇ ਕੋਲੋਂ ਵਗਦੀ ਹੈ ਅਤੇ ਬੱਚੇ ਹਰ ਰੋਜ਼ ਉੱਥੇ ਖੇਡਦੇ ਹਨ।"),
        std::pair("gu", "નદી જૂની ઘંટી પાસેથી વહે છે અને બાળકો દરરોજ ત્યાં રમે છે."),
        std::pair("ta", "ஆறு பழைய ஆலையைக் கடந்து ஓடுகிறது, குழந்தைகள் தினமும் அங்கே விளையாடுகிறார்கள்."),
        std::pair("te", "నది పాత మిల్లు పక్కన ప్రవహిస్తుంది మరియు పిల్లలు ప్రతిరోజూ అక్కడ ఆడుకుంటారు."),
        std::pair("kn", "ನದಿ ಹಳೆಯ ಗಿರಣಿಯ ಪಕ್ಕದಲ್ಲಿ ಹರಿಯುತ್ತದೆ ಮತ್ತು ಮಕ್ಕಳು ಪ್ರತಿದಿನ ಅಲ್ಲಿ ಆಡುತ್ತಾರೆ."),
        std::pair("th", "แม่น้ำไหลผ่านโรงสีเก่า และเด็ก ๆ เล่นที่นั่นทุกวัน"),
        std::pair("ko", "강은 오래된 방앗간 옆을 흐르고 아이들은 매일 그곳에서 논다."),
        std::pair("ja", "川は古い水車小屋のそばを流れ、子供たちは毎日そこで遊ぶ。"),
        std::pair("zh", "河流经过老磨坊，孩子们每天都在那里玩。"),
        std::pair("el", "Το ποτάμι περνά από τον παλιό μύλο."), std::pair("en", "ROAD CLOSED TODAY"),
        std::pair("", "12 + 30 = 42 !")));

}  // namespace
}  // namespace uaqf::evaluate
