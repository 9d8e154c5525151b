// SPDX-License-Identifier: Apache-2.0
#include "eval/needle_facts.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace precis {
namespace {

// "$" is replaced by the name, "#" by the answer.
struct FactTemplate {
  const char* sentence;
  const char* question;
  bool is_number;
};

constexpr std::array<FactTemplate, 8> kTemplates{{
    {"The access code of $'s locker is #.", "What is the access code of $'s locker?", true},
    {"$ paid # crowns for the old boat.", "How many crowns did $ pay for the old boat?", true},
    {"The train ticket of $ has the number #.", "Which number has the train ticket of $?", true},
    {"The archive keeps the letters of $ in box #.",
     "In which box does the archive keep the letters of $?",
     true},
    {"The password that $ chose is #.", "Which password did $ choose?", false},
    {"$ hid the silver key under the #.", "Under what did $ hide the silver key?", false},
    {"The sign over the shop of $ shows a #.",
     "What does the sign over the shop of $ show?",
     false},
    {"$ won a # in the village lottery.", "What did $ win in the village lottery?", false},
}};

constexpr std::array<const char*, 32> kFirstNames{
    "Agnes", "Boris", "Clara", "Dmitri", "Edith",  "Felix", "Greta",  "Hugo",
    "Irene", "Jonas", "Karin", "Lewis",  "Marta",  "Nolan", "Olga",   "Pablo",
    "Quinn", "Rosa",  "Simon", "Tilda",  "Ulric",  "Vera",  "Walter", "Xenia",
    "Yusuf", "Zelda", "Anton", "Bella",  "Conrad", "Dora",  "Emil",   "Flora"};

constexpr std::array<const char*, 32> kLastNames{
    "Abbott",  "Barlow",  "Castell", "Dunmore", "Ellery",    "Farrow",  "Granger",  "Harding",
    "Ingram",  "Jarvis",  "Keller",  "Langley", "Merrick",   "Norwood", "Osborne",  "Prescott",
    "Quimby",  "Redfern", "Sheldon", "Thorne",  "Underhill", "Vickers", "Whitlock", "Yardley",
    "Ashdown", "Bellamy", "Corbett", "Dawson",  "Everett",   "Fenwick", "Garland",  "Holloway"};

// Each begins with a consonant, since "a" may stand before it.
constexpr std::array<const char*, 48> kWords{
    "lantern", "barrel",  "compass",  "violin",  "kettle", "ladder", "mirror",   "basket",
    "candle",  "saddle",  "trumpet",  "blanket", "hammer", "carpet", "pumpkin",  "falcon",
    "beaver",  "dolphin", "turtle",   "peacock", "rabbit", "walnut", "cherry",   "melon",
    "tulip",   "maple",   "cactus",   "willow",  "drum",   "bell",   "crown",    "shovel",
    "wheel",   "statue",  "fountain", "pillow",  "teapot", "bucket", "necklace", "telescope",
    "feather", "puzzle",  "rocket",   "sandal",  "zebra",  "badger", "hedgehog", "parrot"};

std::string filled(std::string_view pattern, const std::string& name, const std::string& answer) {
  std::string text;
  for (const char c : pattern) {
    if (c == '$')
      text += name;
    else if (c == '#')
      text += answer;
    else
      text += c;
  }
  return text;
}

bool clash(const NeedleFact& left, const NeedleFact& right) {
  return left.question == right.question || left.answer == right.answer;
}

}  // namespace

std::string NeedleSource::name() {
  const std::string first = kFirstNames[below(kFirstNames.size())];
  return first + " " + kLastNames[below(kLastNames.size())];
}

NeedleFact NeedleSource::fact() {
  const FactTemplate& chosen = kTemplates[below(kTemplates.size())];
  const std::string person = name();
  const std::string answer = chosen.is_number ? std::to_string(10000 + below(90000))
                                              : std::string(kWords[below(kWords.size())]);
  return {filled(chosen.sentence, person, answer),
          filled(chosen.question, person, answer),
          answer,
          chosen.is_number ? "Answer with the number only." : "Answer with one word only."};
}

std::vector<NeedleFact> NeedleSource::facts(int64_t count) {
  std::vector<NeedleFact> facts;
  while (std::ssize(facts) < count) {
    NeedleFact next = fact();
    const auto clashes = [&](const NeedleFact& known) { return clash(known, next); };
    if (std::ranges::none_of(facts, clashes)) facts.push_back(std::move(next));
  }
  return facts;
}

double NeedleSource::share() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

}  // namespace precis
