# SPDX-License-Identifier: Apache-2.0
"""Prefill and greedy decoding of Hugging Face transformers on a GPU, bfloat16, over random weights of a known shape: eager, and
with a static cache whose step is a CUDA graph (torch.compile, mode reduce-overhead). One JSON object, in tokens a second, by CUDA
events; what fails is named in place of its numbers.
"""

import argparse
import json
import statistics

import torch
import transformers

from gpu_shapes import SHAPES

CONTEXT, DECODED, RUNS = 16, 128, 3


def seconds(work):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def median_rate(tokens, work):
    work()
    return tokens / statistics.median(seconds(work) for _ in range(RUNS))


def ids(model, count):
    return torch.randint(0, model.config.vocab_size, (1, count), device="cuda")


def prefill(model, count):
    prompt = ids(model, count)
    return median_rate(count, lambda: model(prompt, use_cache=True, logits_to_keep=1))


def decode(model, step, cache):
    """step(token, cache, position): the logits of the next one."""
    model(ids(model, CONTEXT), past_key_values=cache, use_cache=True, cache_position=torch.arange(CONTEXT, device="cuda"))
    token = torch.zeros(1, 1, dtype=torch.long, device="cuda")

    def work():
        nonlocal token
        for i in range(DECODED):
            position = torch.full((1,), CONTEXT + i, dtype=torch.long, device="cuda")
            token = step(token, cache, position)[:, -1].argmax(-1, keepdim=True).clone()

    return median_rate(DECODED, work)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, required=True)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_default_device("cuda")
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.LlamaForCausalLM._from_config(transformers.LlamaConfig(**SHAPES[options.shape]), attn_implementation="sdpa").eval()
    call = lambda token, cache, position: model(token, past_key_values=cache, use_cache=True, cache_position=position).logits
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "device": torch.cuda.get_device_name()}
    static = lambda: transformers.StaticCache(config=model.config, max_cache_len=CONTEXT + DECODED)
    measures = {
        "prefill 512": lambda: prefill(model, 512),
        "prefill 2048": lambda: prefill(model, 2048),
        "decode eager": lambda: decode(model, call, static()),
        "decode static cache, CUDA graph": lambda: decode(model, torch.compile(call, mode="reduce-overhead", fullgraph=True), static()),
    }
    for name, measure in measures.items():
        try:
            with torch.inference_mode():
                result[name] = measure()
        except Exception as error:  # versions differ in what they take
            result[name] = str(error)[:500]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
