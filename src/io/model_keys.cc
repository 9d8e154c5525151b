// SPDX-License-Identifier: Apache-2.0
// The list of all settings in model files that affect the computation.
//
// To add a row: name the key; then the architectures for which models/config.cc (or
// io/gguf_config.cc) reads it; then, as a JSON list, the values without effect where it is not
// read. Any other value is refused with the key's name. Write "any" only if transformers computes
// the same for every value. Keys that never affect the computation go to kBesideTheComputation. A
// key that is not listed here is ignored with a warning in the log, since writers of files often
// add harmless ones.
#include "io/model_keys.h"

#include <algorithm>

namespace precis {
namespace {

constexpr std::string_view kExperts = "a mixture of experts";
constexpr std::string_view kCapped = "capped logits";
constexpr std::string_view kMultiplied = "a multiplier";
constexpr std::string_view kPartsOfModel = "parts beside the language model";

constexpr ModelKey kConfigKeys[] = {
    // sizes
    {"model_type", kEveryArchitecture, "any"},
    {"vocab_size", kEveryArchitecture, "any"},
    {"hidden_size", kEveryArchitecture, "any"},
    {"intermediate_size", kEveryArchitecture, "any"},
    {"num_hidden_layers", kEveryArchitecture, "any"},
    {"num_attention_heads", kEveryArchitecture, "any"},
    {"num_key_value_heads", kEveryArchitecture, "any"},
    {"head_dim", kEveryArchitecture, "any"},
    {"max_position_embeddings", kEveryArchitecture, "any"},
    // norms, activations, biases
    {"rms_norm_eps", kEveryArchitecture, "any"},
    {"hidden_act", kLlama | kMistral | kQwen, "any"},
    {"hidden_activation", kGemma3, "any"},
    {"tie_word_embeddings", kEveryArchitecture, "any"},
    {"attention_bias", kLlama | kQwen | kGemma3, "[false]"},  // Qwen2 always has some of them
    {"qkv_bias", kQwen2, "[false]"},
    {"use_qkv_bias", kQwen2, "[false]"},
    {"mlp_bias", kLlama, "[false]"},
    {"lm_head_bias", kNoArchitecture, "[false]"},
    {"use_bias", kNoArchitecture, "[false]"},
    {"no_bias", kNoArchitecture, "[true]"},
    {"qk_norm", kQwen3 | kGemma3, "[false]"},
    {"use_qk_norm", kQwen3 | kGemma3, "[false]"},
    {"qk_layernorm", kQwen3 | kGemma3, "[false]"},
    // positions
    {"rope_theta", kEveryArchitecture, "any"},
    {"rope_scaling", kEveryArchitecture, "any"},
    {"rope_parameters", kEveryArchitecture, "any"},
    {"original_max_position_embeddings", kEveryArchitecture, "any"},
    {"rope_local_base_freq", kGemma3, "[]"},
    {"partial_rotary_factor", kNoArchitecture, "[1]"},
    {"rotary_pct", kNoArchitecture, "[1]"},
    {"rope_ratio", kNoArchitecture, "[1]"},
    {"rope_interleave", kNoArchitecture, "[false]"},
    {"rope_interleaved", kNoArchitecture, "[false]"},
    {"use_rope", kNoArchitecture, "[true]"},
    {"use_mrope", kNoArchitecture, "[false]"},
    {"no_rope_layers", kNoArchitecture, "[[]]", "layers without positions"},
    {"no_rope_layer_interval", kNoArchitecture, "[0]", "layers without positions"},
    {"alibi", kNoArchitecture, "[false]"},
    // attention windows and masks
    {"layer_types", kEveryArchitecture, "any"},
    {"sliding_window",
     kMistral | kQwen | kGemma3,
     "any"},  // Llama has none, whatever is left there
    {"use_sliding_window", kQwen, "any"},
    {"max_window_layers", kQwen, "any"},
    {"sliding_window_pattern", kGemma3, "[]"},
    {"attention_chunk_size", kNoArchitecture, "[]"},
    {"use_bidirectional_attention", kNoArchitecture, "[false]", "attention to later tokens"},
    {"is_causal", kNoArchitecture, "[true]", "attention to later tokens"},
    {"num_kv_shared_layers", kNoArchitecture, "[0]"},
    {"dual_chunk_attention_config",
     kNoArchitecture,
     "any"},  // for another program; transformers has none
    // scales
    {"query_pre_attn_scalar", kGemma3, "[]", "a scale of the queries"},
    {"attn_logit_softcapping", kNoArchitecture, "[]", kCapped},
    {"final_logit_softcapping", kNoArchitecture, "[]", kCapped},
    {"router_logit_softcapping", kNoArchitecture, "[]", kCapped},
    {"logit_scale", kNoArchitecture, "[1]", kMultiplied},
    {"logits_scaling", kNoArchitecture, "[1]", kMultiplied},
    {"embedding_multiplier", kNoArchitecture, "[1]", kMultiplied},
    {"residual_multiplier", kNoArchitecture, "[1]", kMultiplied},
    {"attention_multiplier", kNoArchitecture, "[]", kMultiplied},
    {"lm_head_multiplier", kNoArchitecture, "[1]", kMultiplied},
    {"key_multiplier", kNoArchitecture, "[1]", kMultiplied},
    {"scale_emb", kNoArchitecture, "[1]", kMultiplied},
    {"scale_depth", kNoArchitecture, "[]", kMultiplied},
    {"dim_model_base", kNoArchitecture, "[]", kMultiplied},
    {"attn_temperature_tuning", kNoArchitecture, "[false, 0]"},
    {"clip_qkv", kNoArchitecture, "[]", "clipped queries, keys and values"},
    {"swiglu_limit", kNoArchitecture, "[]", "clipped activations"},
    // other structures
    {"parallel_attn", kNoArchitecture, "[false]"},
    {"use_parallel_residual", kNoArchitecture, "[false]"},
    {"attn_output_gate", kNoArchitecture, "[false]"},
    {"per_layer_config", kNoArchitecture, "[{}]"},
    {"pruned_heads", kNoArchitecture, "[{}]"},
    {"is_encoder_decoder", kNoArchitecture, "[false]"},
    {"add_cross_attention", kNoArchitecture, "[false]"},
    {"q_lora_rank", kNoArchitecture, "[0]", "compressed keys and values"},
    {"kv_lora_rank", kNoArchitecture, "[0]", "compressed keys and values"},
    {"num_experts", kNoArchitecture, "[0]", kExperts},
    {"num_local_experts", kNoArchitecture, "[0]", kExperts},
    {"n_routed_experts", kNoArchitecture, "[0]", kExperts},
    {"n_shared_experts", kNoArchitecture, "[0]", kExperts},
    {"moe_intermediate_size", kNoArchitecture, "[0]", kExperts},
    {"text_config", kNoArchitecture, "[{}]", kPartsOfModel},
    {"vision_config", kNoArchitecture, "[{}]", kPartsOfModel},
    {"audio_config", kNoArchitecture, "[{}]", kPartsOfModel},
    {"quantization_config", kNoArchitecture, "[{}]"},  // check_model_keys.cc names the method
    {"quantization", kNoArchitecture, "[{}]"},
    {"compression_config", kNoArchitecture, "[{}]"},
};

// Keys without effect of their own: they depend on another key, or do not affect the computation.
// Names that begin with "_", or end in "_token_id", "_dropout" or "_pdrop", need no entry.
constexpr std::string_view kBesideTheComputation[] = {
    // origin of the file
    "architectures",
    "auto_map",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "name_or_path",
    "transformers_weights",
    "tokenizer_class",
    "transformers.js_config",
    "is_llama_config",
    "unsloth_fixed",
    "unsloth_version",
    "base_model_name_or_path",
    "finetuning_task",
    "task_specific_params",
    "problem_type",
    "id2label",
    "label2id",
    "num_labels",
    "is_decoder",
    "tie_encoder_decoder",
    "model_max_length",
    "max_sequence_length",
    "eos_token_ids",
    "cross_attention_hidden_size",
    // training
    "initializer_range",
    "dropout",
    "pretraining_tp",
    "gradient_checkpointing",
    "router_aux_loss_coef",
    "output_router_logits",
    "router_jitter_noise",
    "tf_legacy_loss",
    // inference
    "use_cache",
    "cache_implementation",
    "attn_implementation",
    "experts_implementation",
    "torchscript",
    "use_bfloat16",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "chunk_size_feed_forward",
    "tie_last_hidden_states",
    "use_flash_attn",
    "use_return_dict",
    // experts: without effect unless num_experts or a similar key is set
    "num_experts_per_tok",
    "num_experts_per_token",
    "decoder_sparse_step",
    "mlp_only_layers",
    "norm_topk_prob",
    "shared_expert_intermediate_size",
    // generation: GenerationConfig of transformers
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "no_repeat_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "target_lookbehind",
    "temperature",
    "top_k",
    "top_p",
    "typical_p"};

constexpr std::string_view kRopeKeys[] = {"rope_type",
                                          "type",
                                          "rope_theta",
                                          "factor",
                                          "original_max_position_embeddings",
                                          "low_freq_factor",
                                          "high_freq_factor",
                                          "attention_factor",
                                          "beta_fast",
                                          "beta_slow",
                                          "mscale",
                                          "mscale_all_dim",
                                          "truncate",
                                          "partial_rotary_factor",
                                          "finetuned",
                                          "divisors"};

constexpr ModelKey kGgufKeys[] = {
    // sizes
    {"block_count", kEveryArchitecture, "any"},
    {"context_length", kEveryArchitecture, "any"},
    {"embedding_length", kEveryArchitecture, "any"},
    {"feed_forward_length", kEveryArchitecture, "any"},
    {"vocab_size", kNoArchitecture, "any"},  // the table of words says it
    {"attention.head_count", kEveryArchitecture, "any"},
    {"attention.head_count_kv", kEveryArchitecture, "any"},
    {"attention.key_length", kEveryArchitecture, "any"},
    {"attention.value_length", kEveryArchitecture, "any"},
    {"attention.key_length_swa", kNoArchitecture, "[]"},
    {"attention.value_length_swa", kNoArchitecture, "[]"},
    {"attention.key_length_mla", kNoArchitecture, "[0]"},
    {"attention.value_length_mla", kNoArchitecture, "[0]"},
    {"embedding_length_out", kNoArchitecture, "[]"},
    {"embedding_length_per_layer_input", kNoArchitecture, "[0]"},
    {"tensor_data_layout", kNoArchitecture, "any"},
    // norms
    {"attention.layer_norm_rms_epsilon", kEveryArchitecture, "any"},
    {"attention.layer_norm_epsilon", kNoArchitecture, "any"},  // of other norms
    // positions
    {"rope.freq_base", kEveryArchitecture, "any"},
    {"rope.freq_base_swa", kGemma3, "[]"},
    {"rope.dimension_count", kEveryArchitecture, "any"},
    {"rope.dimension_count_swa", kNoArchitecture, "[]"},
    {"rope.dimension_sections", kNoArchitecture, "[]"},
    {"rope.scale_linear", kEveryArchitecture, "any"},
    {"rope.scaling.type", kEveryArchitecture, "any"},
    {"rope.scaling.factor", kEveryArchitecture, "any"},
    {"rope.scaling.original_context_length", kEveryArchitecture, "any"},
    {"rope.scaling.attn_factor", kEveryArchitecture, "any"},
    {"rope.scaling.yarn_beta_fast", kEveryArchitecture, "any"},
    {"rope.scaling.yarn_beta_slow", kEveryArchitecture, "any"},
    {"rope.scaling.yarn_ext_factor", kNoArchitecture, "[1, -1]"},
    {"rope.scaling.yarn_attn_factor", kNoArchitecture, "[1, -1]"},
    {"rope.scaling.yarn_log_multiplier", kNoArchitecture, "[0]"},
    {"rope.scaling.alpha", kNoArchitecture, "[0]"},
    {"rope.scaling.finetuned", kNoArchitecture, "any"},
    // attention windows and masks
    {"attention.sliding_window", kEveryArchitecture, "any"},
    {"attention.sliding_window_pattern", kGemma3, "[]"},
    {"attention.causal", kNoArchitecture, "[true]", "attention to later tokens"},
    {"attention.shared_kv_layers", kNoArchitecture, "[0]"},
    {"pooling_type", kNoArchitecture, "[0]", "one embedding for a whole text"},
    // scales
    {"attention.scale", kNoArchitecture, "[0]", "a scale of the queries"},
    {"attention.output_scale", kNoArchitecture, "[0, 1]", kMultiplied},
    {"attention.clamp_kqv", kNoArchitecture, "[0]", "clipped queries, keys and values"},
    {"attention.max_alibi_bias", kNoArchitecture, "[0]"},
    {"attention.temperature_length", kNoArchitecture, "[0]"},
    {"attention.temperature_scale", kNoArchitecture, "[0, 1]"},
    {"attn_logit_softcapping", kNoArchitecture, "[0]", kCapped},
    {"final_logit_softcapping", kNoArchitecture, "[0]", kCapped},
    {"router_logit_softcapping", kNoArchitecture, "[0]", kCapped},
    {"logit_scale", kNoArchitecture, "[0, 1]", kMultiplied},
    {"residual_scale", kNoArchitecture, "[0, 1]", kMultiplied},
    {"embedding_scale", kNoArchitecture, "[0, 1]", kMultiplied},
    {"activation_sparsity_scale", kNoArchitecture, "[]"},
    // other structures
    {"use_parallel_residual", kNoArchitecture, "[false]"},
    {"swin_norm", kNoArchitecture, "[false]"},
    {"swiglu_clamp_exp", kNoArchitecture, "[]", "clipped activations"},
    {"swiglu_clamp_shexp", kNoArchitecture, "[]", "clipped activations"},
    {"altup.", kNoArchitecture, "[0]"},
    {"convnext.", kNoArchitecture, "[0]"},
    {"kda.", kNoArchitecture, "[0]"},
    {"posnet.", kNoArchitecture, "[0]"},
    {"shortconv.", kNoArchitecture, "[0]"},
    {"ssm.", kNoArchitecture, "[0, false]", "a state space"},
    {"wkv.", kNoArchitecture, "[0]"},
    {"time_mix_extra_dim", kNoArchitecture, "[0]"},
    {"time_decay_extra_dim", kNoArchitecture, "[0]"},
    {"token_shift_count", kNoArchitecture, "[0]"},
    {"rescale_every_n_layers", kNoArchitecture, "[0]"},
    {"features_length", kNoArchitecture, "[0]"},
    {"decoder_start_token_id", kNoArchitecture, "any"},
    {"attention.group_norm_epsilon", kNoArchitecture, "any"},  // of other norms
    {"attention.group_norm_groups", kNoArchitecture, "[0]"},
    {"attention.relative_buckets_count", kNoArchitecture, "[0]"},
    {"attention.indexer.", kNoArchitecture, "[0]"},
    {"attention.decay_lora_rank", kNoArchitecture, "[0]"},
    {"attention.gate_lora_rank", kNoArchitecture, "[0]"},
    {"attention.iclr_lora_rank", kNoArchitecture, "[0]"},
    {"attention.value_residual_mix_lora_rank", kNoArchitecture, "[0]"},
    {"attention.q_lora_rank", kNoArchitecture, "[0]", "compressed keys and values"},
    {"attention.kv_lora_rank", kNoArchitecture, "[0]", "compressed keys and values"},
    {"full_attention_interval", kNoArchitecture, "[0, 1]"},
    {"n_deepstack_layers", kNoArchitecture, "[0]", kPartsOfModel},
    {"nextn_predict_layers", kNoArchitecture, "[0]"},
    {"decoder_block_count", kNoArchitecture, "[0]"},
    {"classifier.output_labels", kNoArchitecture, "[[]]", "a classifier"},
    {"expert_count", kNoArchitecture, "[0]", kExperts},
    {"expert_used_count", kNoArchitecture, "[0]", kExperts},
    {"expert_shared_count", kNoArchitecture, "[0]", kExperts},
    {"expert_group_count", kNoArchitecture, "[0]", kExperts},
    {"expert_feed_forward_length", kNoArchitecture, "[0]", kExperts},
    {"expert_shared_feed_forward_length", kNoArchitecture, "[0]", kExperts},
    {"leading_dense_block_count", kNoArchitecture, "[0]", kExperts},
    {"moe_every_n_layers", kNoArchitecture, "[0]", kExperts},
    {"moe_latent_size", kNoArchitecture, "[0]", kExperts},
    // experts: without effect unless expert_count is set
    {"expert_group_used_count", kNoArchitecture, "any"},
    {"expert_weights_scale", kNoArchitecture, "any"},
    {"expert_weights_norm", kNoArchitecture, "any"},
    {"expert_gating_func", kNoArchitecture, "any"},
    {"expert_group_scale", kNoArchitecture, "any"},
    {"expert_chunk_feed_forward_length", kNoArchitecture, "any"},
    {"experts_per_group", kNoArchitecture, "any"},
    {"interleave_moe_layer_step", kNoArchitecture, "any"},
};

bool is_in(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::span<const ModelKey> config_keys() { return kConfigKeys; }
std::span<const ModelKey> gguf_keys() { return kGgufKeys; }

bool is_beside_the_computation(std::string_view key) {
  return key.starts_with('_') || key.ends_with("_token_id") || key.ends_with("_dropout") ||
         key.ends_with("_pdrop") || is_in(kBesideTheComputation, key);
}

bool is_rope_key(std::string_view key) { return is_in(kRopeKeys, key); }

}  // namespace precis
