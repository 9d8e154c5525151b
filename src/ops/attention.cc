// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/block_table.h"
#include "ops/kernel_arguments.h"
#include "ops/kv_blocks.h"

namespace precis::ops {
namespace {

// The input's tokens of one sequence.
struct Entry {
  at::Tensor q;  // [n, heads, head_dim]
  at::Tensor k;  // [n, kv_heads, head_dim]
  at::Tensor v;
  const KvView& view;

  int64_t num_tokens() const { return q.size(0); }
  bool is_fresh() const { return view.length == num_tokens() && view.ragged.empty(); }
};

at::Tensor heads_first(const at::Tensor& x) { return x.transpose(0, 1); }

void check_view(const KvView& view, const AttentionInput& input) {
  PRECIS_CHECK(view.keys.defined() || !view.blocks.empty(),
               kInvalidArgument,
               "attention: a sequence holds none of its ",
               view.length,
               " tokens");
  const at::Tensor& held = view.keys.defined() ? view.keys : view.blocks.front();
  PRECIS_CHECK(held.scalar_type() == input.q.scalar_type() && held.device() == input.q.device(),
               kInvalidArgument,
               "attention: queries are ",
               at::toString(input.q.scalar_type()),
               " on ",
               input.q.device().str(),
               ", cached keys ",
               at::toString(held.scalar_type()),
               " on ",
               held.device().str(),
               "; expected one dtype and device");
  const bool fits =
      view.keys.defined()
          ? view.keys.dim() == 3 && view.keys.sizes() == view.values.sizes() &&
                view.keys.size(0) == input.k.size(1) && view.keys.size(1) == view.length &&
                view.keys.size(2) == input.k.size(2)
          : held.dim() == 5 && held.size(1) == input.k.size(1) && held.size(4) == input.k.size(2) &&
                view.layer < held.size(0) && std::ssize(view.blocks) >= blocks_for(view.length);
  PRECIS_CHECK(fits,
               kInvalidArgument,
               "attention: ",
               view.length,
               " cached tokens ",
               held.sizes(),
               " do not fit keys ",
               input.k.sizes());
}

void check(const AttentionInput& input, const AttentionOptions& options) {
  const at::Tensor &q = input.q, &k = input.k, &visible = input.visible_cache_len;
  const int64_t sequences = std::ssize(input.views);
  bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == input.v.sizes() && k.size(1) > 0 &&
              q.size(0) == k.size(0) && q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0 &&
              q.scalar_type() == k.scalar_type() && q.scalar_type() == input.v.scalar_type() &&
              sequences > 0 && std::ssize(input.cu_seqlens) == sequences + 1 &&
              input.cu_seqlens.front() == 0 && input.cu_seqlens.back() == q.size(0) &&
              (!visible.defined() || visible.numel() == q.size(0));
  for (int64_t i = 0; fits && i < sequences; ++i) {
    const int64_t own = input.cu_seqlens[i + 1] - input.cu_seqlens[i];
    fits = own >= 1 && own <= input.views[i].length;
  }
  PRECIS_CHECK(fits,
               kInvalidArgument,
               "attention: queries ",
               q.sizes(),
               ", keys ",
               k.sizes(),
               " and values ",
               input.v.sizes(),
               " of one dtype are not the tokens of ",
               sequences,
               " sequences");
  for (const KvView& view : input.views) {
    check_view(view, input);
    PRECIS_CHECK(view.ragged.empty() || (options.window == 0 && !visible.defined()),
                 kUnsupported,
                 "attention: a memory whose heads keep different numbers of tokens cannot be read "
                 "with a sliding window or a limited view of the cache");
  }
}

std::vector<Entry> entries_of(const AttentionInput& input) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < input.cu_seqlens.size(); ++i)
    lengths.push_back(input.cu_seqlens[i + 1] - input.cu_seqlens[i]);
  // One split each: its backward is then one concatenation.
  const auto q = input.q.split_with_sizes(lengths, 0);
  const auto k = input.k.split_with_sizes(lengths, 0);
  const auto v = input.v.split_with_sizes(lengths, 0);
  std::vector<Entry> entries;
  for (size_t i = 0; i < q.size(); ++i) entries.push_back({q[i], k[i], v[i], input.views[i]});
  return entries;
}

// Keys and values of all of an entry's tokens without ragged memories, [kv_heads, length,
// head_dim].
std::pair<at::Tensor, at::Tensor> keys_and_values(const Entry& entry) {
  const KvView& view = entry.view;
  if (view.length == entry.num_tokens()) return {heads_first(entry.k), heads_first(entry.v)};
  if (view.keys.defined()) return {view.keys, view.values};
  return read_from_blocks(view.blocks, view.layer, 0, view.length);
}

// Keys and values of some heads of a ragged memory, [tokens of the head, head_dim] each.
struct RaggedHeads {
  std::vector<at::Tensor> keys, values;
};

// One split for all heads of a layer: the gradient of each narrow would be as large as the memory.
RaggedHeads heads_of(const RaggedKv& memory, int64_t first, int64_t count) {
  const int64_t* start = memory.starts.data() + first;
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < count; ++i) sizes.push_back(start[i + 1] - start[i]);
  const auto split = [&](const at::Tensor& x) {
    return x.narrow(0, start[0], start[count] - start[0]).split_with_sizes(sizes, 0);
  };
  return {split(memory.keys), split(memory.values)};
}

// Runs heads one after the other, each over its tokens of the ragged memories and then of the
// sequence. attend: a dense attention.
template <typename Attend>
at::Tensor attend_ragged(const Entry& entry,
                         const AttentionOptions& options,
                         const Attend& attend) {
  const auto [keys, values] = keys_and_values(entry);
  const int64_t kv_heads = keys.size(0), first = entry.view.layer * kv_heads;
  std::vector<RaggedHeads> memories;
  for (const auto& memory : entry.view.ragged)
    memories.push_back(heads_of(*memory, first, kv_heads));
  std::vector<at::Tensor> heads;
  const auto queries = heads_first(entry.q).chunk(kv_heads, 0);
  for (int64_t head = 0; head < kv_heads; ++head) {
    std::vector<at::Tensor> k, v;
    for (const RaggedHeads& memory : memories) {
      k.push_back(memory.keys[head]);
      v.push_back(memory.values[head]);
    }
    k.push_back(keys[head]);
    v.push_back(values[head]);
    const auto one_head = [](const std::vector<at::Tensor>& x) {
      return at::cat(x, 0).unsqueeze(0).unsqueeze(0);
    };
    heads.push_back(
        attend(queries[head].unsqueeze(0), one_head(k), one_head(v), options, at::Tensor())
            .squeeze(0));
  }
  return at::cat(heads, 0).transpose(0, 1);
}

// Attention of entries (by index) with equal numbers of queries and of keys, as one batch. visible:
// [n] or undefined.
template <typename Attend>
void attend_group(const std::vector<Entry>& entries,
                  const std::vector<size_t>& group,
                  const at::Tensor& visible,
                  const AttentionOptions& options,
                  const Attend& attend,
                  std::vector<at::Tensor>& outputs) {
  std::vector<at::Tensor> q, k, v;
  for (const size_t i : group) {
    const auto [keys, values] = keys_and_values(entries[i]);
    q.push_back(heads_first(entries[i].q));
    k.push_back(keys);
    v.push_back(values);
  }
  const auto batch = [](const std::vector<at::Tensor>& each) {
    return each.size() == 1 ? each[0].unsqueeze(0) : at::stack(each, 0);
  };
  // One unbind: its backward is then one stack.
  const auto own = attend(batch(q), batch(k), batch(v), options, visible).transpose(1, 2).unbind(0);
  for (size_t i = 0; i < group.size(); ++i) outputs[group[i]] = own[i];
}

// Groups of sequences, by index, that are one batch: equal numbers of queries and of keys, if
// stacking them does not copy keys that a cache holds.
std::vector<std::vector<size_t>> groups_of(const std::vector<Entry>& entries, bool apart) {
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> groups;
  std::vector<std::vector<size_t>> all;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (apart || (!entry.is_fresh() && !c10::GradMode::is_enabled()))
      all.push_back({i});
    else
      groups[{entry.num_tokens(), entry.view.length}].push_back(i);
  }
  for (auto& [lengths, group] : groups) all.push_back(std::move(group));
  return all;
}

template <typename Attend>
at::Tensor attend_groups(const AttentionInput& input,
                         const AttentionOptions& options,
                         const Attend& attend) {
  const std::vector<Entry> entries = entries_of(input);
  const at::Tensor& visible = input.visible_cache_len;
  const bool ragged = std::any_of(entries.begin(), entries.end(), [](const Entry& entry) {
    return !entry.view.ragged.empty();
  });
  std::vector<at::Tensor> outputs(entries.size());
  for (const auto& group : groups_of(entries, ragged || visible.defined())) {
    const size_t first = group.front();
    if (!entries[first].view.ragged.empty()) {
      outputs[first] = attend_ragged(entries[first], options, attend);
      continue;
    }
    const at::Tensor own =
        visible.defined() ? visible.narrow(0, input.cu_seqlens[first], entries[first].num_tokens())
                          : at::Tensor();
    attend_group(entries, group, own, options, attend, outputs);
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

// The number of tokens if it is the same for all sequences and none has earlier tokens; else 0.
int64_t uniform_length(const AttentionInput& input) {
  const int64_t length = input.cu_seqlens[1];
  for (size_t i = 0; i < input.views.size(); ++i) {
    const KvView& view = input.views[i];
    if (input.cu_seqlens[i + 1] - input.cu_seqlens[i] != length || view.length != length ||
        !view.ragged.empty())
      return 0;
  }
  return length;
}

// All sequences in one call. REQUIRES: uniform_length.
at::Tensor attend_uniform(const AttentionInput& input,
                          int64_t length,
                          const AttentionOptions& options) {
  const auto batch = [&](const at::Tensor& x) {
    return x.unflatten(0, {-1, length}).transpose(1, 2);
  };
  return dense_attention(batch(input.q), batch(input.k), batch(input.v), options)
      .transpose(1, 2)
      .flatten(0, 1);
}

bool packed_applies(const AttentionInput& input) {
  return input.packed != nullptr && !input.visible_cache_len.defined() &&
         std::all_of(input.views.begin(), input.views.end(), [](const KvView& view) {
           return view.ragged.empty();
         });
}

at::Tensor attend_packed(const AttentionInput& input, const AttentionOptions& options) {
  if (input.packed->keys == input.packed->queries)
    return packed_attention(input.q, input.k, input.v, *input.packed, options);
  std::vector<at::Tensor> keys, values;
  for (const Entry& entry : entries_of(input)) {
    const auto [k, v] = keys_and_values(entry);
    keys.push_back(k.transpose(0, 1));
    values.push_back(v.transpose(0, 1));
  }
  return packed_attention(input.q, at::cat(keys, 0), at::cat(values, 0), *input.packed, options);
}

// Most queries of a sequence that are read for one by one, over its blocks; for more, keys and
// values are gathered for libtorch's attention. Chosen, not tuned.
constexpr int64_t kFewQueries = 4;

bool requires_gradient(const KvView& view) {
  return c10::GradMode::is_enabled() &&
         std::any_of(view.ragged.begin(), view.ragged.end(), [](const auto& memory) {
           return memory->keys.requires_grad() || memory->values.requires_grad();
         });
}

bool block_kernel_applies(const AttentionInput& input) {
  if (!kernel_applies(input.q, {input.k, input.v}) || input.visible_cache_len.defined())
    return false;
  for (size_t i = 0; i < input.views.size(); ++i) {
    if (requires_gradient(input.views[i])) return false;
    if (input.views[i].keys.defined() ||
        input.cu_seqlens[i + 1] - input.cu_seqlens[i] > kFewQueries)
      return false;
  }
  return true;
}

at::Tensor attend_blocks(const AttentionInput& input, const AttentionOptions& options) {
  const BlockTable table = block_table(input.views, input.cu_seqlens, options.window);
  const int64_t queries = input.q.size(0), heads = input.q.size(1), width = input.q.size(2);
  const int64_t kv_heads = input.k.size(1);
  const at::Tensor q = input.q.to(at::kFloat).contiguous();
  const at::Tensor out = at::empty(q.sizes(), q.options());
  const at::Tensor states =
      at::empty({queries * heads * table.max_splits * (width + 2)}, q.options());
  const kernels::BlockAttentionArguments arguments{q.const_data_ptr<float>(),
                                                   table.blocks.data(),
                                                   table.readers.data(),
                                                   table.num_splits.data(),
                                                   out.mutable_data_ptr<float>(),
                                                   states.mutable_data_ptr<float>(),
                                                   input.views.front().layer,
                                                   heads,
                                                   kv_heads,
                                                   width,
                                                   table.max_splits,
                                                   static_cast<float>(options.scale)};
  for_row_ranges(std::ssize(table.blocks) * kv_heads,
                 heads / kv_heads * kBlockSize * width,
                 [&](int64_t first, int64_t last) {
                   kernels::cpu().block_attention(element_of(input.q), arguments, first, last);
                 });
  for_row_ranges(queries * heads, table.max_splits * width, [&](int64_t first, int64_t last) {
    kernels::cpu().merge_block_attention(arguments, first, last);
  });
  return out.to(input.q.scalar_type());
}

}  // namespace

at::Tensor reference::attention(const AttentionInput& input, const AttentionOptions& options) {
  check(input, options);
  return attend_groups(input, options, reference::dense_attention);
}

at::Tensor attention(const AttentionInput& input, const AttentionOptions& options) {
  check(input, options);
  if (packed_applies(input)) return attend_packed(input, options);
  if (block_kernel_applies(input)) return attend_blocks(input, options);
  const bool limited = input.visible_cache_len.defined();
  const int64_t length = limited || input.views.size() == 1 ? 0 : uniform_length(input);
  if (length > 0) return attend_uniform(input, length, options);
  return attend_groups(input, options, dense_attention);
}

}  // namespace precis::ops
