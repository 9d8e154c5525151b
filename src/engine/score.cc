// SPDX-License-Identifier: Apache-2.0
#include "engine/score.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "prompt/packed_pass.h"

namespace precis {
namespace {

// hidden: [n, hidden]; targets: [n] int64. -> [n] float32.
at::Tensor log_likelihoods(const Decoder& decoder,
                           const at::Tensor& hidden,
                           const at::Tensor& targets) {
  constexpr int64_t kTokensPerChunk = 64;  // logits in float32 are the largest tensor here
  std::vector<at::Tensor> chunks;
  for (int64_t first = 0; first < hidden.size(0); first += kTokensPerChunk) {
    const int64_t count = std::min(kTokensPerChunk, hidden.size(0) - first);
    const at::Tensor logits = decoder.logits(hidden.narrow(0, first, count)).to(at::kFloat);
    const at::Tensor chosen =
        logits.gather(1, targets.narrow(0, first, count).unsqueeze(1)).squeeze(1);
    chunks.push_back(chosen - logits.logsumexp(1));
  }
  return at::cat(chunks, 0);
}

// A prompt and the ids that follow it. ids: [n] int64.
SplicedPrompt with_ids(SplicedPrompt prompt, const at::Tensor& ids, const Decoder& decoder) {
  prompt.embeddings = at::cat({prompt.embeddings, decoder.embed(ids)}, 0);
  prompt.positions =
      at::arange(prompt.start, prompt.start + prompt.embeddings.size(0), ids.options());
  return prompt;
}

}  // namespace

SplicedPrompt empty_prompt(const Decoder& decoder) {
  SplicedPrompt prompt;
  prompt.embeddings = at::empty({0, decoder.config().hidden_size}, decoder.options());
  prompt.positions = at::empty({0}, decoder.options().dtype(at::kLong));
  return prompt;
}

std::vector<double> score(const Decoder& decoder,
                          const SplicedPrompt& prompt,
                          std::span<const TokenId> ids) {
  const at::Tensor tokens = at::tensor(at::ArrayRef<TokenId>(ids.data(), ids.size()), at::kLong)
                                .to(decoder.options().device());
  const at::Tensor targets = tokens.slice(0, prompt.first_scored());
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  PackedPass pass(decoder, cache);
  pass.add(with_ids(prompt, tokens.slice(0, 0, -1), decoder), 0, targets.size(0));
  const at::Tensor likelihoods = log_likelihoods(decoder, pass.read(), targets);
  PRECIS_CHECK(likelihoods.isfinite().all().item<bool>(),
               kBadWeights,
               "score: the model's logits are not finite; its weights or a memory in the prompt "
               "are damaged");
  const at::Tensor nll = likelihoods.neg().to(at::kDouble).cpu().contiguous();
  return {nll.const_data_ptr<double>(), nll.const_data_ptr<double>() + nll.numel()};
}

}  // namespace precis
