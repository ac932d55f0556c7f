#include "worker/evaluate/tasks/language.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

enum class Script { kLatin, kCyrillic, kArabic, kDevanagari, kHan, kKana, kOwn };

// A script, and its language where it has one of its own.
struct ScriptRow {
  const char* expression;
  Script script;
  const char* language;
};

constexpr auto kScripts = std::to_array<ScriptRow>({
    {R"(\p{sc:Latin})", Script::kLatin, ""},    {R"(\p{sc:Cyrillic})", Script::kCyrillic, ""},
    {R"(\p{sc:Arabic})", Script::kArabic, ""},  {R"(\p{sc:Devanagari})", Script::kDevanagari, ""},
    {R"(\p{sc:Han})", Script::kHan, "zh"},      {R"([\p{sc:Hiragana}\p{sc:Katakana}])", Script::kKana, "ja"},
    {R"(\p{sc:Hangul})", Script::kOwn, "ko"},   {R"(\p{sc:Greek})", Script::kOwn, "el"},
    {R"(\p{sc:Hebrew})", Script::kOwn, "he"},   {R"(\p{sc:Armenian})", Script::kOwn, "hy"},
    {R"(\p{sc:Georgian})", Script::kOwn, "ka"}, {R"(\p{sc:Thai})", Script::kOwn, "th"},
    {R"(\p{sc:Lao})", Script::kOwn, "lo"},      {R"(\p{sc:Khmer})", Script::kOwn, "km"},
    {R"(\p{sc:Myanmar})", Script::kOwn, "my"},  {R"(\p{sc:Sinhala})", Script::kOwn, "si"},
    {R"(\p{sc:Tamil})", Script::kOwn, "ta"},    {R"(\p{sc:Telugu})", Script::kOwn, "te"},
    {R"(\p{sc:Kannada})", Script::kOwn, "kn"},  {R"(\p{sc:Malayalam})", Script::kOwn, "ml"},
    {R"(\p{sc:Gujarati})", Script::kOwn, "gu"}, {R"(\p{sc:Gurmukhi})", Script::kOwn, "pa"},
    {R"(\p{sc:Bengali})", Script::kOwn, "bn"},  {R"(\p{sc:Oriya})", Script::kOwn, "or"},
    {R"(\p{sc:Ethiopic})", Script::kOwn, "am"},
});

// A language of a shared script: its commonest function words, and letters that the others of the script lack.
struct LanguageRow {
  Script script;
  const char* language;
  const char* words;
  const char* letters;
};

constexpr auto kLanguages = std::to_array<LanguageRow>({
    {Script::kLatin, "en",
     "the of and to in a is that it for was on are as with his they at be this from have or by one had not but what "
     "all were we when your can said there an each which she do how their if will up other about out many then them "
     "these so some her would like him into has my i you he me our am been who its than could",
     ""},
    {Script::kLatin, "de",
     "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat "
     "dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis "
     "mehr durch ich wir ihr du mein kein sehr wenn",
     "ß"},
    {Script::kLatin, "fr",
     "le la les de des du un une et à en que qui dans pour est sur pas plus par au aux ce cette il elle nous vous ils "
     "je ne se son sa ses avec sont mais ou où on été être fait comme tout leur j'ai c'est très bien même",
     "œ"},
    {Script::kLatin, "es",
     "el la los las de del y que en un una por con no su para es al lo como más pero sus le ya o este sí porque esta "
     "entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante son fue yo está ser",
     "ñ¿¡"},
    {Script::kLatin, "pt",
     "o a os as de do da dos das e que em um uma para com não por mais se no na nos nas ao como mas foi ele ela seu "
     "sua ou ser quando muito há já está eu também só pelo pela até isso entre depois sem mesmo você são é",
     "ãõ"},
    {Script::kLatin, "it",
     "il lo la i gli le di del della dei e che in un una per con non si da sono al come più anche ma nel nella alla ha "
     "questo questa io mi ci se suo sua ed è era dal dalla molto tutti tutto delle degli",
     ""},
    {Script::kLatin, "nl",
     "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij nog uit door over ze hij "
     "naar heb wij je ik was worden deze wordt geen zo kan dit wel",
     "ĳ"},
    {Script::kLatin, "sv",
     "och att det i en jag som på är av för med till den har de inte om ett han men var från vi så kan när nu eller "
     "mycket ska hade här vad",
     "ä"},
    {Script::kLatin, "da",
     "og at det i en jeg som på er af for med til den har de ikke om et han men var fra vi så kan når nu eller meget "
     "skal havde her hvad være blev",
     "ø"},
    {Script::kLatin, "no",
     "og å det i en jeg som på er av for med til den har de ikke om et han men var fra vi så kan når nå eller mye skal "
     "hadde her hva være ble",
     "ø"},
    {Script::kLatin, "fi",
     "ja on ei se että en hän oli ovat mutta kun niin kuin joka mitä tai myös sen olla ne minä sinä me te he voi ole "
     "tämä jos vain siitä hyvin ovat ollut sekä kanssa jotka minun",
     "äö"},
    {Script::kLatin, "pl",
     "i w nie na się z do to że jest o jak ale za co od po tak czy przez są było dla ich tylko może już który która "
     "które ja ty my być go jego",
     "łążźśćęń"},
    {Script::kLatin, "cs",
     "a se v na je že to s z do o i ve jako za pro by jsem jsou ale po byl od který která které jeho nebo k tak když "
     "jen už není má",
     "řůě"},
    {Script::kLatin, "ro",
     "și în de la a cu pe nu un o este sunt care din mai pentru că ca se să ce au fost al ale dar sau el ea noi prin "
     "după foarte",
     "țșăţş"},
    {Script::kLatin, "hu",
     "a az és hogy nem is egy van ez meg de azt csak már ha volt mint vagy el ki még fel lehet nagyon minden én te ő "
     "ezt után",
     "őű"},
    {Script::kLatin, "tr",
     "ve bir bu da de için ile çok ne olarak daha gibi o en var ama kadar sonra mi olan ki her ben sen biz değil ya "
     "veya olduğu ise",
     "ığş"},
    {Script::kLatin, "id",
     "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena ada mereka kita bisa sudah atau "
     "adalah oleh kami anda seperti lebih sangat",
     ""},
    {Script::kLatin, "sw",
     "na ya wa kwa ni katika la za kuwa cha hii hiyo yake kama lakini au pia sana wake watu huu hizi ili yangu wao "
     "mimi wewe sisi si ambao ambayo kila baada mtu moja kutoka wangu yetu nchi",
     ""},
    {Script::kLatin, "vi",
     "và là của có trong được cho không một các với người những này đã để khi tôi từ đến như về ra bạn rất cũng nhiều "
     "sẽ hay thì mà",
     "đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"},
    {Script::kLatin, "tl",
     "ang ng sa na mga ay at ko siya ito ni para hindi kung may mo isang niya namin ako ka nang pero rin natin", ""},
    {Script::kLatin, "sq", "dhe në të e i një për që me nga është më janë ka si do nuk por kjo ky ishte unë ju", "ë"},
    {Script::kLatin, "hr",
     "i je u na se da su za od s koji što ne to kao iz ili o bio ali po sve biti nije sam smo koje", "đ"},
    {Script::kCyrillic, "ru",
     "и в не на я что он с как это по но из у за от так же для вы мы она они был было его все или если когда очень мне",
     "ыэё"},
    {Script::kCyrillic, "uk",
     "і в не на я що він з як це по але та у за від так для ви ми вона вони був було його все або якщо коли дуже є",
     "іїєґ"},
    {Script::kCyrillic, "bg",
     "и в не на аз че той с как това по но от за са се да със към ви ние тя те беше е си като или ако когато много ще "
     "съм който която",
     "ъ"},
    {Script::kCyrillic, "mk",
     "и во не на јас што тој со како ова по но од за се да кон вие ние таа тие беше е си или ако кога многу ќе", "ѓќѕ"},
    {Script::kCyrillic, "sr",
     "и у не на ја да он са како ово по али од за се су је то који која или ако када веома ће смо био", "ђћ"},
    {Script::kArabic, "ar",
     "في من على إلى أن هذا هذه التي الذي ما لا كان كانت مع عن هو هي أو ثم كل قد بعد ذلك أنا نحن بين إن يكون", "ةإأىؤئ"},
    {Script::kArabic, "fa",
     "و در به از که این است را با برای آن یک می های تا بر هم ما من شما اما یا خود شد کرد بود باید نیز", "پچژگ"},
    {Script::kArabic, "ur",
     "اور کے کی میں ہے سے کا کو پر نے یہ ہیں ایک نہیں وہ تھا کہ بھی ہو لئے لیے کر تو آپ ہم اس ان", "ٹڈڑںےہھ"},
    {Script::kDevanagari, "hi",
     "के का की है में से को और यह हैं पर ने एक नहीं वह था थी भी हो कि लिए तो कर इस जो मैं हम आप उस रहा थे", "ड़ढ़"},
    {Script::kDevanagari, "mr",
     "आहे आणि या च्या हे ते आहेत मध्ये होते होता करण्यासाठी एक तो ती नाही मी आम्ही तुम्ही साठी पण किंवा आपण त्या त्यांच्या म्हणून खूप "
     "आपल्या",
     "ळ"},
    {Script::kDevanagari, "ne",
     "छ र को मा हो लागि गर्न छन् यो भने पनि तर एक थियो म हामी तपाईं गर्ने हुन्छ भएको बाट ले लाई धेरै छैन गरेको आफ्नो", ""},
});

// What a letter of its own counts beside a function word: such letters come once in a few words.
constexpr double kLetterWeight = 0.5;
// A function word of so many bytes counts 1; shorter ones, which other languages have too, less.
constexpr double kTellingBytes = 3;

size_t Count(std::string_view text, const char* expression) { return Regex::Known(expression).FindAll(text).size(); }

// The script with the most letters; kana beside Han is Japanese whatever their numbers.
const ScriptRow* MainScript(std::string_view text) {
  const ScriptRow* main = nullptr;
  size_t most = 0;
  bool kana = false;
  for (const ScriptRow& row : kScripts) {
    const size_t count = Count(text, row.expression);
    if (row.script == Script::kKana) kana = count > 0;
    if (count > most) {
      most = count;
      main = &row;
    }
  }
  if (main != nullptr && main->script == Script::kHan && kana) {
    return std::find_if(kScripts.begin(), kScripts.end(), [](const auto& row) { return row.script == Script::kKana; });
  }
  return main;
}

double Likeness(const LanguageRow& row, const std::vector<std::string>& words, std::string_view lower) {
  const auto list = Words(row.words);
  const std::unordered_set<std::string_view> known(list.begin(), list.end());
  double likeness = 0;
  for (const std::string& word : words) {
    if (known.contains(word)) likeness += std::min(static_cast<double>(word.size()), kTellingBytes) / kTellingBytes;
  }
  if (*row.letters != '\0') {
    const std::string letters = std::string("[") + row.letters + "]";
    likeness += kLetterWeight * static_cast<double>(Count(lower, letters.c_str()));
  }
  return likeness;
}

}  // namespace

std::string DetectLanguage(std::string_view text) {
  static const Regex word = Regex::Known(R"([\p{L}\p{M}']+)");
  static const Regex foreign_letter = Regex::Known(R"([^\x00-\x7f])");
  const ScriptRow* script = MainScript(text);
  if (script == nullptr) return {};
  if (*script->language != '\0') return script->language;
  const std::string lower = Lower(text);
  std::vector<std::string> words;
  for (const Regex::Match& match : word.FindAll(lower)) words.emplace_back(match.whole);
  const LanguageRow* best = nullptr;
  double most = 0;
  for (const LanguageRow& row : kLanguages) {
    if (row.script != script->script) continue;
    const double likeness = Likeness(row, words, lower);
    if (likeness > most) {
      most = likeness;
      best = &row;
    }
  }
  if (best != nullptr) return best->language;
  return script->script == Script::kLatin && !foreign_letter.Search(text) ? "en" : "";
}

}  // namespace uaqf::evaluate
