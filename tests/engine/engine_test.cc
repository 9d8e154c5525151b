// SPDX-License-Identifier: Apache-2.0
// The engine with a tiny random model and a real tokenizer.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "compressors/selfcp/selfcp.h"
#include "engine/compress.h"
#include "io/safetensors_weights.h"
#include "memory/memory_contents.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/registry.h"
#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";

// An untrained compressor.
void write_compressor(const fs::path& directory, bool reads_prefix) {
  const c10::NoGradGuard no_grad;
  const auto decoder = load_decoder(kModel, at::kFloat);
  SelfCpConfig config;
  config.ratio = 4;
  config.max_segment = 16;
  config.reads_prefix = reads_prefix;
  create_selfcp(config, *decoder)->save(directory);
}

Engine load(const fs::path& compressor = {}) {
  EngineOptions options;
  options.model = kModel;
  options.compressor = compressor;
  options.dtype = Dtype::kFloat32;
  return Engine::load(options);
}

GenerationOptions short_answer(int64_t tokens = 12) {
  GenerationOptions options;
  options.max_tokens = tokens;
  return options;
}

class EngineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory = new TemporaryDirectory;
    write_compressor(*directory / "plain", false);
    write_compressor(*directory / "prefixed", true);
  }
  static void TearDownTestSuite() { delete directory; }

  // A memory of the input embeddings of a text.
  static Memory passthrough(const Engine& engine, const std::string& text) {
    const c10::NoGradGuard no_grad;
    const auto ids = engine.tokenizer().encode(text);
    return Memory(std::make_shared<MemoryContents>(
        MemoryContents{SoftTokens{engine.decoder().embed(at::tensor(ids, at::kLong))},
                       {"passthrough", engine.decoder().fingerprint(), "", "", std::ssize(ids)}}));
  }

  // The memory of `ids` that the compressor makes after `prefix`.
  static Memory memory_behind(const std::vector<TokenId>& prefix,
                              const std::vector<TokenId>& ids,
                              const Engine& engine) {
    const c10::NoGradGuard no_grad;
    const Segment segment{ids, std::make_shared<SharedPrefix>(prefix)};
    const CompressorInfo info = engine.compressor()->info();
    return make_memories({*engine.compressor(), info, engine.decoder()}, {&segment, 1}, {}).front();
  }

  static TemporaryDirectory* directory;
  Engine plain = load();
  Engine selfcp = load(*directory / "plain");
};
TemporaryDirectory* EngineTest::directory = nullptr;

TEST_F(EngineTest, GreedyAnswersAreTheSameEveryTime) {
  const Prompt prompt = Prompt().keep("the water of the town");
  const Completion first = plain.generate(prompt, short_answer()),
                   second = plain.generate(prompt, short_answer());
  EXPECT_EQ(first.ids, second.ids);
  EXPECT_EQ(first.text, second.text);
  EXPECT_EQ(first.savings.prompt_rows, first.savings.prompt_tokens);
}

TEST_F(EngineTest, AMemoryOfTheEmbeddingsAnswersLikeTheText) {
  const Completion text =
      plain.generate(Prompt().keep("the water").keep(" of the town"), short_answer());
  // Divided where the tokenizer divides too: a space starts a new token.
  const Completion memory = plain.generate(
      Prompt().keep("the water").memory(passthrough(plain, " of the town")), short_answer());
  EXPECT_EQ(memory.ids, text.ids);
  EXPECT_EQ(memory.savings.memory_rows,
            memory.savings.prompt_tokens - std::ssize(plain.tokenizer().encode("the water")));
}

TEST_F(EngineTest, StreamsWhatItReturns) {
  std::string streamed;
  const Completion completion =
      plain.generate(Prompt().keep("a"), short_answer(), [&](std::string_view text) {
        streamed += text;
        return true;
      });
  EXPECT_EQ(streamed, completion.text);
  EXPECT_EQ(
      completion.finish,
      std::ssize(completion.ids) == 12 ? Completion::Finish::kLength : Completion::Finish::kStop);
}

TEST_F(EngineTest, ACallbackCancels) {
  const Completion completion =
      plain.generate(Prompt().keep("a"), short_answer(50), [](std::string_view) { return false; });
  EXPECT_EQ(completion.finish, Completion::Finish::kCancelled);
  EXPECT_LT(std::ssize(completion.ids), 50);
}

TEST_F(EngineTest, StopsBeforeAStopString) {
  const Completion whole = plain.generate(Prompt().keep("the town"), short_answer(20));
  ASSERT_GE(whole.text.size(), 4u);
  GenerationOptions options = short_answer(20);
  options.stop = {whole.text.substr(2, 2)};
  const Completion cut = plain.generate(Prompt().keep("the town"), options);
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(options.stop[0])));
  EXPECT_EQ(cut.finish, Completion::Finish::kStop);
}

TEST_F(EngineTest, BatchEqualsSinglesThoughLengthsDiffer) {
  const std::vector<Prompt> prompts{
      Prompt().keep("the"),
      Prompt().compress("a long text about the town and its water").keep(" so"),
      Prompt().keep("of the water of the town"),
      Prompt().memory(selfcp.compress("water")).keep("a")};
  const auto batch = selfcp.generate_batch(prompts, short_answer());
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(batch[i].ids, selfcp.generate(prompts[i], short_answer()).ids) << i;
  }
}

TEST_F(EngineTest, OneBadRequestFailsAlone) {
  const std::vector<Prompt> prompts{
      Prompt().keep("the"), Prompt().keep("\xff"), Prompt().keep("of")};
  const auto batch = plain.generate_batch(prompts, short_answer());
  EXPECT_EQ(batch[1].finish, Completion::Finish::kError);
  EXPECT_THROW(std::rethrow_exception(batch[1].error), Error);
  EXPECT_EQ(batch[0].ids, plain.generate(prompts[0], short_answer()).ids);
  EXPECT_EQ(batch[2].ids, plain.generate(prompts[2], short_answer()).ids);
}

TEST_F(EngineTest, SeededSamplingRepeatsItself) {
  GenerationOptions options = short_answer(24);
  options.temperature = 1.5;
  options.seed = 3;
  const Prompt prompt = Prompt().keep("the");
  EXPECT_EQ(plain.generate(prompt, options).ids, plain.generate(prompt, options).ids);
  const auto before = plain.generate(prompt, options).ids;
  options.seed = 4;
  EXPECT_NE(plain.generate(prompt, options).ids, before);
}

TEST_F(EngineTest, CompressionShortensThePrompt) {
  const std::string document = "the town has water and the water has a town and so on and on";
  const Completion completion =
      selfcp.generate(Prompt().compress(document).keep(" the"), short_answer());
  const int64_t tokens = std::ssize(selfcp.tokenizer().encode(document));
  EXPECT_EQ(completion.savings.compressed_tokens, tokens);
  EXPECT_EQ(completion.savings.memory_rows, selfcp.compress(document).num_tokens());
  EXPECT_LT(completion.savings.prompt_rows, completion.savings.prompt_tokens);
  EXPECT_GT(completion.savings.kv_bytes_saved, 0);
}

TEST_F(EngineTest, AReadyMemoryAnswersLikeTheTextItWasMadeFrom) {
  const std::string document = "the town has water";
  const Completion direct =
      selfcp.generate(Prompt().compress(document).keep(" the"), short_answer());
  const Completion ready =
      selfcp.generate(Prompt().memory(selfcp.compress(document)).keep(" the"), short_answer());
  EXPECT_EQ(direct.ids, ready.ids);
}

TEST_F(EngineTest, APrefixThatTheCompressorReadsIsSharedWithGeneration) {
  const Engine prefixed = load(*directory / "prefixed");
  const auto ids = [&](const char* text) { return prefixed.tokenizer().encode(text); };
  const auto nll = [&](Prompt prompt) {
    return prefixed.score(prompt.keep(" so"), " the river").nll;
  };
  const auto nll_behind = [&](const std::vector<TokenId>& prefix) {
    return nll(Prompt()
                   .keep("about the town:")
                   .memory(memory_behind(prefix, ids("the water of it"), prefixed)));
  };
  const auto direct = nll(Prompt().keep("about the town:").compress("the water of it"));
  const auto own = nll_behind(ids("about the town:")), other = nll_behind(ids("of the rain:"));
  EXPECT_THAT(direct, testing::Pointwise(testing::DoubleNear(1e-3), own));
  EXPECT_GT(std::abs(other[0] - own[0]), 0.1);
}

TEST_F(EngineTest, ACompressorThatReadsThePrefixLeavesOtherPromptsAlone) {
  const Engine prefixed = load(*directory / "prefixed");
  for (const Prompt& prompt :
       {Prompt().keep("the water"), Prompt().keep("the").context(" water of the town")}) {
    EXPECT_EQ(prefixed.generate(prompt, short_answer()).ids,
              plain.generate(prompt, short_answer()).ids);
  }
}

// The compressor reads the tokens before the context, and the segment.
TEST_F(EngineTest, ThePrefixEndsWhereContextBegins) {
  const Engine prefixed = load(*directory / "prefixed");
  GenerationOptions options = short_answer(4);
  options.overflow = Overflow::kCompressLatter;
  options.context_limit = 24;
  const std::string context = " river town water road bridge mill field harbour wall gate";
  const Completion latter =
      prefixed.generate(Prompt().keep("the").context(context).keep(" end"), options);
  const auto ids = prefixed.tokenizer().encode(context);
  const auto border = ids.end() - latter.savings.compressed_tokens;
  ASSERT_TRUE(border > ids.begin() && border < ids.end());
  const auto answer_behind = [&](const std::vector<TokenId>& prefix) {
    const Memory memory = memory_behind(prefix, {border, ids.end()}, prefixed);
    const Prompt prompt =
        Prompt().keep("the").ids({ids.begin(), border}).memory(memory).keep(" end");
    return prefixed.generate(prompt, short_answer(4)).ids;
  };
  const auto instruction = prefixed.tokenizer().encode("the");
  auto with_context = instruction;
  with_context.insert(with_context.end(), ids.begin(), border);
  EXPECT_EQ(latter.ids, answer_behind(instruction));
  EXPECT_NE(latter.ids, answer_behind(with_context));
}

TEST_F(EngineTest, APassOverTheWindowIsRefused) {
  const std::vector<TokenId> ids(4000, 7);
  CompressOptions options;
  options.chaining = Chaining::kConcat;
  expect_error(ErrorKind::kInvalidArgument, "window", [&] {
    static_cast<void>(selfcp.compress_ids(ids, options));
  });
}

TEST_F(EngineTest, OverflowFollowsThePolicy) {
  std::string document;
  for (int i = 0; i < 40; ++i) document += " the water of the town";
  GenerationOptions options = short_answer(4);
  options.context_limit = 100;
  const Prompt prompt = Prompt().context(document).keep(" so");
  expect_error(
      ErrorKind::kInvalidArgument, "over the limit", [&] { selfcp.generate(prompt, options); });
  for (const Overflow policy : {Overflow::kTruncate,
                                Overflow::kCompressFormer,
                                Overflow::kCompressLatter,
                                Overflow::kCompressAll}) {
    options.overflow = policy;
    const Completion completion = selfcp.generate(prompt, options);
    EXPECT_LE(completion.savings.prompt_rows, 96);
    EXPECT_EQ(completion.savings.memory_rows > 0, policy != Overflow::kTruncate);
  }
}

TEST_F(EngineTest, ScoreIsTheLogLikelihoodOfEachId) {
  const std::vector<TokenId> ids = plain.tokenizer().encode("the water of the town");
  const Score score = plain.score_ids(Prompt(), ids);
  ASSERT_EQ(score.nll.size(), ids.size() - 1);
  const c10::NoGradGuard no_grad;
  KvCache cache(plain.decoder().config().kv_shape(), plain.decoder().options());
  const at::Tensor tokens = at::tensor(ids, at::kLong);
  const int64_t n = tokens.size(0);
  const at::Tensor logits = plain.decoder().logits(
      plain.decoder().forward({plain.decoder().embed(tokens), at::arange(n), {0, n}, {0}}, cache));
  for (size_t i = 0; i < score.nll.size(); ++i) {
    EXPECT_NEAR(score.nll[i], -logits[i].log_softmax(0)[ids[i + 1]].item<double>(), 1e-4);
  }
}

TEST_F(EngineTest, AMemoryOfTheEmbeddingsScoresLikeTheText) {
  const std::vector<TokenId> context = plain.tokenizer().encode("the water"),
                             rest = plain.tokenizer().encode(" of the town");
  std::vector<TokenId> whole = context;
  whole.insert(whole.end(), rest.begin(), rest.end());
  const Score all = plain.score_ids(Prompt(), whole);
  const Score after = plain.score_ids(Prompt().memory(passthrough(plain, "the water")), rest);
  ASSERT_EQ(after.nll.size(), rest.size());
  for (size_t i = 0; i < rest.size(); ++i)
    EXPECT_NEAR(after.nll[i], all.nll[context.size() - 1 + i], 1e-4);
}

TEST_F(EngineTest, AMemorySurvivesItsFile) {
  const Memory memory = selfcp.compress("the water of the town");
  memory.save(*directory / "memory.safetensors");
  const Memory loaded = Memory::load(*directory / "memory.safetensors");
  EXPECT_EQ(loaded.content_hash(), memory.content_hash());
  EXPECT_EQ(loaded.provenance().source_tokens, memory.provenance().source_tokens);
  EXPECT_EQ(selfcp.generate(Prompt().memory(loaded).keep("a"), short_answer()).ids,
            selfcp.generate(Prompt().memory(memory).keep("a"), short_answer()).ids);
}

TEST_F(EngineTest, ConcatenatedMemoriesAreReadInOrder) {
  const std::vector<Memory> two{selfcp.compress("the water"), selfcp.compress(" of the town")};
  const Memory joined = Memory::concat(two);
  EXPECT_EQ(joined.num_tokens(), two[0].num_tokens() + two[1].num_tokens());
  EXPECT_EQ(selfcp.generate(Prompt().memory(joined).keep("a"), short_answer()).ids,
            selfcp.generate(Prompt().memory(two[0]).memory(two[1]).keep("a"), short_answer()).ids);
}

TEST_F(EngineTest, AMemoryOfAnotherModelIsRefusedByName) {
  EngineOptions options;
  options.model = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama.gguf";
  options.dtype = Dtype::kFloat32;
  const Engine other = Engine::load(options);
  const Memory memory = selfcp.compress("the water");
  expect_error(ErrorKind::kInvalidArgument,
               "made for model " + memory.provenance().model_fingerprint,
               [&] { other.generate(Prompt().memory(memory).keep("a"), short_answer()); });
}

TEST_F(EngineTest, TheErrorOfAnotherModelsMemoryNamesBothModels) {
  const Memory memory = selfcp.compress("the water");
  EXPECT_EQ(memory.provenance().model_name, "llama");
  const Memory foreign(std::make_shared<MemoryContents>(
      MemoryContents{memory.contents().tensors, {"selfcp", "abc", "", "", 9, "qwen"}}));
  const std::string part = "made for model abc (\"qwen\"), this one is " +
                           plain.decoder().fingerprint() + " (\"llama\")";
  expect_error(ErrorKind::kInvalidArgument, part, [&] {
    plain.generate(Prompt().memory(foreign).keep("a"), short_answer());
  });
}

TEST_F(EngineTest, TheModelOfAMemoryIsCheckedBeforeItsSizeAndMethod) {
  const int64_t window = plain.decoder().config().context_length;
  const at::Tensor rows = at::zeros({window + 1, plain.decoder().config().hidden_size});
  const Memory foreign(std::make_shared<MemoryContents>(
      MemoryContents{SoftTokens{rows}, {"icae", "abc", "", "", 9}}));
  expect_error(ErrorKind::kInvalidArgument, "made for model abc", [&] {
    plain.generate(Prompt().memory(foreign).keep("a"), short_answer());
  });
  expect_error(ErrorKind::kInvalidArgument, "made for model abc", [&] {
    static_cast<void>(selfcp.apply_template({&foreign, 1}, MemoryUse::kInstruct));
  });
}

TEST_F(EngineTest, ADamagedMemoryFileIsRefused) {
  const fs::path path = *directory / "damaged.safetensors";
  selfcp.compress("the water").save(path);
  const auto good = SafetensorsFile::open(path);
  at::Tensor rows = to_tensor(*good.find("embeddings"));
  const auto metadata = good.metadata();
  const auto write = [&] {
    const std::vector<StoredTensor> tensors{to_stored("embeddings", rows)};
    write_safetensors(path, tensors, metadata);
  };
  rows[0][0] += 1;
  write();
  expect_error(ErrorKind::kBadWeights, "hash", [&] { Memory::load(path); });
  rows[0][0] = std::numeric_limits<float>::quiet_NaN();
  write();
  expect_error(ErrorKind::kBadWeights, "finite", [&] { Memory::load(path); });
  expect_error(
      ErrorKind::kBadWeights, "not a memory", [] { Memory::load(kModel / "model.safetensors"); });
  expect_error(ErrorKind::kNotFound, "nowhere", [] { Memory::load("nowhere.safetensors"); });
}

TEST_F(EngineTest, BadStopStringsAreNamed) {
  for (const char* stop : {"", "\xA9"}) {
    GenerationOptions options = short_answer();
    options.stop = {stop};
    expect_error(ErrorKind::kInvalidArgument, "stop string", [&] {
      static_cast<void>(plain.generate(Prompt().keep("a"), options));
    });
  }
}

TEST_F(EngineTest, IdsInAPromptAreReadAsTheyAre) {
  const auto ids = plain.tokenizer().encode(" water of the town");
  EXPECT_EQ(plain.generate(Prompt().keep("the").ids(ids), short_answer()).ids,
            plain.generate(Prompt().keep("the").keep(" water of the town"), short_answer()).ids);
  expect_error(ErrorKind::kInvalidArgument, "id 100000", [&] {
    static_cast<void>(plain.generate(Prompt().ids({100000}), short_answer()));
  });
}

TEST_F(EngineTest, StopIdsEndAnAnswer) {
  const Prompt prompt = Prompt().keep("the water");
  GenerationOptions options = short_answer();
  const Completion whole = plain.generate(prompt, options);
  ASSERT_GT(whole.ids.size(), 2u);
  options.stop_ids = {whole.ids[1]};
  const Completion stopped = plain.generate(prompt, options);
  EXPECT_EQ(stopped.finish, Completion::Finish::kStop);
  EXPECT_LE(stopped.ids.size(), 1u);
}

TEST_F(EngineTest, ATemplateIsWhatTheCompressorWasTrainedWith) {
  const Memory memory = selfcp.compress("the river runs through the town");
  const TemplatedPrompt templated =
      selfcp.apply_template({&memory, 1}, MemoryUse::kInstruct, " of the town");
  EXPECT_EQ(selfcp.generate(templated.prompt, short_answer()).ids,
            selfcp.generate(Prompt().memory(memory).keep(" of the town"), short_answer()).ids);
  expect_error(ErrorKind::kUnsupported, "say a text again", [&] {
    static_cast<void>(selfcp.apply_template({&memory, 1}, MemoryUse::kAutoencode));
  });
  expect_error(ErrorKind::kInvalidArgument, "made by selfcp", [&] {
    static_cast<void>(plain.apply_template({&memory, 1}, MemoryUse::kInstruct));
  });
}

TEST_F(EngineTest, ACallbackMayThrowAnything) {
  expect_error(ErrorKind::kInternal, "callback", [&] {
    static_cast<void>(plain.generate(
        Prompt().keep("a"), short_answer(), [](std::string_view) -> bool { throw 1; }));
  });
}

TEST_F(EngineTest, WithoutACompressorTheBuiltInCompresses) {
  const std::string text = "the water of the town and the old bridge by the river";
  const Memory memory = plain.compress(text);
  EXPECT_EQ(memory.provenance().method, "attention_matching");
  EXPECT_EQ(memory.content_hash(), load("attention_matching").compress(text).content_hash());
  EXPECT_EQ(load("kvzip").compress(text).provenance().method, "kvzip");
}

TEST_F(EngineTest, AssembledWithoutACompressorItCompressesNothing) {
  const Engine bare = Engine::assemble(load_decoder(kModel, at::kFloat));
  const std::vector<TokenId> ids{5, 6, 7};
  EXPECT_EQ(bare.compressor(), nullptr);
  expect_error(ErrorKind::kInvalidArgument, "assembled without a compressor", [&] {
    bare.compress_ids(ids);
  });
  expect_error(ErrorKind::kInvalidArgument, "assembled without a compressor", [&] {
    static_cast<void>(bare.apply_template({}, MemoryUse::kContinue));
  });
}

TEST_F(EngineTest, CompressingIsCancelled) {
  const std::string text = "the water of the town and the old bridge by the river";
  const std::string wanted = plain.compress(text).content_hash();
  CompressOptions options;
  options.progress = [](double) { return false; };
  expect_error(ErrorKind::kCancelled, "cancelled", [&] { plain.compress(text, options); });
  GenerationOptions generation = short_answer();
  generation.compression = options;
  const Prompt prompt = Prompt().compress(text).keep(" so");
  expect_error(ErrorKind::kCancelled, "cancelled", [&] { plain.generate(prompt, generation); });
  const auto batch = plain.generate_batch(std::vector{prompt, Prompt().keep("the")}, generation);
  EXPECT_EQ(batch[0].finish, Completion::Finish::kError);
  expect_error(ErrorKind::kCancelled, "cancelled", [&] { std::rethrow_exception(batch[0].error); });
  EXPECT_EQ(batch[1].ids, plain.generate(Prompt().keep("the"), short_answer()).ids);
  EXPECT_EQ(plain.compress(text).content_hash(), wanted);
}

TEST_F(EngineTest, BadInputIsNamed) {
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { selfcp.compress(""); });
  expect_error(ErrorKind::kInvalidArgument, "UTF-8", [&] { selfcp.compress("\xc3"); });
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { plain.generate(Prompt()); });
  expect_error(ErrorKind::kInvalidArgument, "outside the vocabulary", [&] {
    plain.score_ids(Prompt(), std::vector<TokenId>{1, 99999});
  });
  expect_error(ErrorKind::kInvalidArgument, "at least 2 ids", [&] {
    plain.score_ids(Prompt(), std::vector<TokenId>{1});
  });
  GenerationOptions options;
  options.top_p = 0;
  expect_error(
      ErrorKind::kInvalidArgument, "top_p", [&] { plain.generate(Prompt().keep("a"), options); });
  EngineOptions nowhere;
  nowhere.model = "nowhere";
  expect_error(ErrorKind::kNotFound, "nowhere", [&] { Engine::load(nowhere); });
}

// At the beginning of a prompt the answer is that of the embeddings; after other tokens the keys
// are rotated by their number.
TEST_F(EngineTest, PrefilledMemoriesScoreLikeTheirEmbeddings) {
  const Engine engine = load(*directory / "plain");
  const Memory rows = engine.compress("the water of the town and the old bridge over the river");
  const Memory prefilled = engine.prefill(rows);
  EXPECT_EQ(prefilled.num_tokens(), rows.num_tokens());
  EXPECT_EQ(prefilled.provenance().source_hash, rows.provenance().source_hash);
  EXPECT_GT(prefilled.bytes(), rows.bytes());
  const auto nll = [&](const Memory& memory, const Prompt& before) {
    return engine.score(Prompt(before).memory(memory).keep("and then"), "the boats sank").nll;
  };
  const std::vector<double> of_rows = nll(rows, {}), of_prefilled = nll(prefilled, {});
  ASSERT_EQ(of_rows.size(), of_prefilled.size());
  for (size_t i = 0; i < of_rows.size(); ++i) EXPECT_NEAR(of_rows[i], of_prefilled[i], 1e-4);
  const Completion one = engine.generate(Prompt().memory(rows).keep("and then"), short_answer()),
                   two =
                       engine.generate(Prompt().memory(prefilled).keep("and then"), short_answer());
  EXPECT_EQ(one.ids, two.ids);
  EXPECT_EQ(one.savings.prompt_rows, two.savings.prompt_rows);
  const Memory longer = engine.prefill(engine.compress("the rain is over the town and the river"));
  const auto behind = nll(prefilled, Prompt().memory(longer)),
             turned = nll(engine.rebase(prefilled, longer.num_tokens()), Prompt().memory(longer));
  for (size_t i = 0; i < behind.size(); ++i) EXPECT_NEAR(behind[i], turned[i], 1e-4);
  EXPECT_GT(std::abs(behind[0] - of_prefilled[0]), 1e-4);
  EXPECT_EQ(engine.prefill(prefilled).content_hash(), prefilled.content_hash());
  const TemporaryDirectory files;
  prefilled.save(files / "m.safetensors");
  EXPECT_EQ(Memory::load(files / "m.safetensors").content_hash(), prefilled.content_hash());
}

TEST_F(EngineTest, PrefillRefusesMemoriesThatDoNotFitTheModel) {
  const Engine engine = load();
  const auto of = [&](int64_t count, int64_t width, const std::string& model) {
    return Memory(std::make_shared<MemoryContents>(
        MemoryContents{SoftTokens{at::zeros({count, width})}, {"x", model, "", "", 9}}));
  };
  const DecoderConfig& config = engine.decoder().config();
  const std::string& model = engine.decoder().fingerprint();
  expect_error(ErrorKind::kInvalidArgument, "made for model other", [&] {
    engine.prefill(of(2, config.hidden_size, "other"));
  });
  expect_error(ErrorKind::kInvalidArgument, "rows of 5, the model", [&] {
    engine.prefill(of(2, 5, model));
  });
  expect_error(ErrorKind::kInvalidArgument, "does not fit the model's window", [&] {
    engine.prefill(of(config.context_length + 1, config.hidden_size, model));
  });
  const at::Tensor damaged = at::zeros({2, config.hidden_size});
  damaged[1][3].fill_(std::numeric_limits<float>::quiet_NaN());
  expect_error(ErrorKind::kBadWeights, "not finite", [&] {
    engine.prefill(Memory(std::make_shared<MemoryContents>(
        MemoryContents{SoftTokens{damaged}, {"x", model, "", "", 9}})));
  });
}

TEST_F(EngineTest, AnswersWithoutATokenizer) {
  const Engine whole = load();
  const auto ids = whole.tokenizer().encode("the water of the town");
  const auto stops = short_answer();
  const Completion wanted = whole.generate(Prompt().ids(ids), stops);
  const Engine bare = Engine::assemble(load_decoder(kModel, at::kFloat));
  const Completion got = bare.generate(Prompt().ids(ids), stops);
  ASSERT_GE(got.ids.size(), wanted.ids.size());  // nothing tells it which ids end an answer
  EXPECT_TRUE(std::equal(wanted.ids.begin(), wanted.ids.end(), got.ids.begin()));
  EXPECT_EQ(got.text, "");
  EXPECT_EQ(bare.generate_batch(std::vector{Prompt().ids(ids)}, stops)[0].ids, got.ids);
  GenerationOptions until = stops;
  until.stop = {"x"};
  expect_error(ErrorKind::kInvalidArgument, "no tokenizer", [&] {
    bare.generate(Prompt().ids(ids), until);
  });
  expect_error(
      ErrorKind::kInvalidArgument, "no tokenizer", [&] { bare.generate(Prompt().keep("the")); });
  expect_error(ErrorKind::kNotFound, "without a tokenizer", [&] { bare.tokenizer(); });
}

TEST_F(EngineTest, CompressesABatchOfTextsAsEachAlone) {
  const Engine engine = load(*directory / "plain");
  const std::vector<std::string> texts{"the water of the town", "a bridge", "the old house by it"};
  std::vector<std::vector<TokenId>> ids;
  for (const std::string& text : texts) ids.push_back(engine.tokenizer().encode(text));
  const std::vector<Memory> together = engine.compress_batch(texts),
                            of_ids = engine.compress_ids_batch(ids);
  ASSERT_EQ(together.size(), texts.size());
  ASSERT_EQ(of_ids.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Memory alone = engine.compress(texts[i]);
    EXPECT_EQ(of_ids[i].content_hash(), together[i].content_hash());
    EXPECT_EQ(together[i].provenance().source_tokens, std::ssize(ids[i]));
    const auto rows = [](const Memory& memory) {
      return std::get<SoftTokens>(memory.contents().tensors).embeddings;
    };
    EXPECT_TRUE(at::allclose(rows(together[i]), rows(alone), 1e-4, 1e-5));
  }
  EXPECT_TRUE(engine.compress_ids_batch({}).empty());
  ids.push_back({});
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { engine.compress_ids_batch(ids); });
  expect_error(ErrorKind::kInvalidArgument, "the text is empty", [&] {
    engine.compress_batch(std::vector<std::string>{"the", ""});
  });
}

TEST_F(EngineTest, AnAssembledEngineCompressesLikeALoadedOne) {
  const Engine loaded = load(*directory / "plain");
  const auto ids = loaded.tokenizer().encode("the water of the town and the old bridge");
  std::unique_ptr<Decoder> decoder = load_decoder(kModel, at::kFloat);
  std::unique_ptr<Compressor> compressor = load_compressor(*directory / "plain", *decoder);
  const Engine assembled = Engine::assemble(std::move(decoder), std::move(compressor));
  EXPECT_EQ(assembled.compress_ids(ids).content_hash(), loaded.compress_ids(ids).content_hash());
  expect_error(ErrorKind::kInvalidArgument, "no decoder", [] { Engine::assemble(nullptr); });
}

}  // namespace
}  // namespace precis
