// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/generate.h"
#include "engine/scheduler.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "support/small_compressors.h"
#include "tokenizers/stop_ids.h"

namespace precis {

// Delegates to another decoder, and calls on_pass first with the number of tokens of each pass;
// what it throws fails the pass.
class ObservedDecoder final : public Decoder {
 public:
  explicit ObservedDecoder(std::unique_ptr<Decoder> decoder) : decoder_(std::move(decoder)) {}

  const DecoderConfig& config() const override { return decoder_->config(); }
  c10::TensorOptions options() const override { return decoder_->options(); }
  at::Tensor embed(const at::Tensor& tokens) const override { return decoder_->embed(tokens); }
  at::Tensor embed_spliced(const at::Tensor& ids,
                           const at::Tensor& embeddings,
                           const at::Tensor& source_indices) const override {
    return decoder_->embed_spliced(ids, embeddings, source_indices);
  }
  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver* observer) const override {
    if (on_pass) on_pass(input.embeddings.size(0));
    return decoder_->forward(input, cache, adapter, observer);
  }
  at::Tensor logits(const at::Tensor& hidden) const override { return decoder_->logits(hidden); }
  const std::string& fingerprint() const override { return decoder_->fingerprint(); }
  int64_t num_parameters() const override { return decoder_->num_parameters(); }
  int64_t weight_bytes() const override { return decoder_->weight_bytes(); }

  std::function<void(int64_t num_tokens)> on_pass = {};

 private:
  std::unique_ptr<Decoder> decoder_;
};

// Delegates to another compressor after several reports of progress.
class ReportingCompressor final : public Compressor {
 public:
  static constexpr int kReports = 4;

  explicit ReportingCompressor(std::unique_ptr<Compressor> compressor)
      : compressor_(std::move(compressor)) {}

  CompressorInfo info() const override { return compressor_->info(); }
  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    return compressor_->memory_size(num_tokens, options);
  }
  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    segments_per_call.push_back(segments.size());
    for (int i = 0; i < kReports; ++i) {
      if (before_report) before_report();
      report_progress(options.progress, static_cast<double>(i) / (2 * kReports));
    }
    return compressor_->compress(segments, options);
  }
  MemoryTemplate memory_template(MemoryUse use) const override {
    return compressor_->memory_template(use);
  }
  std::vector<NamedTensor> parameters() override { return compressor_->parameters(); }
  void save(const std::filesystem::path& directory) const override { compressor_->save(directory); }

  mutable std::vector<size_t> segments_per_call;
  std::function<void()> before_report;

 private:
  std::unique_ptr<Compressor> compressor_;
};

// A scheduler over a tiny model, with its tokenizer and an untrained SelfCP.
class SchedulerTest : public testing::Test {
 protected:
  using Clock = SchedulerSettings::Clock;
  using Record = std::shared_ptr<RequestRecord>;

  SchedulerTest()
      : decoder(load_decoder(model(), at::kFloat)),
        tokenizer(load_tokenizer(model())),
        compressor(make_small_selfcp(decoder)),
        info(compressor.info()) {}

  static std::filesystem::path model() {
    return std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
  }

  Stages stages() const {
    return {decoder,
            {tokenizer.get(), nullptr, "the model has no chat template", info.cached},
            CompressionStage{compressor, info, decoder}};
  }
  DecodeStage decoding() const { return {decoder, tokenizer.get()}; }

  // A budget of 50 ms and a clock that stands still: 64 tokens of prompts in each pass.
  SchedulerSettings serving() {
    SchedulerSettings settings;
    settings.prompt_budget = std::chrono::milliseconds(50);
    settings.now = [this] { return now; };
    settings.arrivals = [this] { return Arrivals{std::exchange(arriving, {}), nullptr}; };
    return settings;
  }

  ScheduledRequest scheduled(const Prompt& prompt,
                             const GenerationOptions& options,
                             const SubmitOptions& submission = {}) const {
    ScheduledRequest request = schedule({prompt, options, {}}, submission, stages(), {});
    request.most_blocks = most_blocks(request.plan, stages());
    return request;
  }

  Record add(Scheduler& scheduler,
             const Prompt& prompt,
             const GenerationOptions& options,
             const SubmitOptions& submission = {}) const {
    ScheduledRequest request = scheduled(prompt, options, submission);
    const Record record = request.record;
    scheduler.add(std::move(request));
    return record;
  }

  static Prompt prompt_of(int64_t num_tokens, int64_t seed) {
    std::vector<TokenId> ids;
    for (int64_t i = 0; i < num_tokens; ++i) ids.push_back((i * 7919 + seed * 131 + 13) % 250 + 5);
    return Prompt().ids(ids);
  }
  static Prompt about(const std::string& text) {
    return Prompt().keep("about").compress(text).keep(" so");
  }

  // An answer of exactly so many tokens.
  GenerationOptions answer_of(int64_t tokens) const {
    const std::set<TokenId> stops = stop_ids(*tokenizer);
    GenerationOptions options;
    options.max_tokens = tokens;
    options.suppressed_ids.assign(stops.begin(), stops.end());
    return options;
  }

  Completion alone(const Prompt& prompt, const GenerationOptions& options) const {
    const Request request{prompt, options, {}};
    return generate({&request, 1}, stages(), decoding(), {}).front();
  }
  void expect_as_alone(const Record& record,
                       const Prompt& prompt,
                       const GenerationOptions& options) const {
    ASSERT_EQ(record->state(), RequestState::kFinished);
    EXPECT_EQ(record->completion().ids, alone(prompt, options).ids);
  }

  static void run(Scheduler& scheduler) {
    while (!scheduler.is_idle()) scheduler.step();
  }

  // A request that is decoding, in a scheduler that had none.
  Record add_decoding(Scheduler& scheduler, int64_t tokens, const SubmitOptions& submission = {}) {
    const Record record = add(scheduler, prompt_of(5, 1), answer_of(tokens), submission);
    scheduler.step();
    EXPECT_EQ(record->state(), RequestState::kDecoding);
    return record;
  }

  static SubmitOptions counting(int64_t& tokens) {
    SubmitOptions submission;
    submission.on_token = [&tokens](const GeneratedToken&) { return ++tokens > 0; };
    return submission;
  }

  inline static const std::string kRiver =
      "the river is full of old boats and the rain is not over";
  inline static const std::string kTown = "the water of the town and the old bridge";

  c10::NoGradGuard no_grad;
  ObservedDecoder decoder;
  std::unique_ptr<Tokenizer> tokenizer;
  ReportingCompressor compressor;
  CompressorInfo info;
  Clock::time_point now{};
  std::vector<ScheduledRequest> arriving;
};

}  // namespace precis
