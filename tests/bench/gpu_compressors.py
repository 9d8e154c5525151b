# SPDX-License-Identifier: Apache-2.0
"""Compressing batches on a GPU as the methods' published scripts do it, over random weights of a known shape, bfloat16, at the sizes
of IC-Former's Table 1 (arXiv 2406.13618). One JSON object, seconds by CUDA events, medians.

ICAE (github.com/getao/icae) reads segments one after the other with their memory tokens behind them, through the model with LoRA
beside q and v, and computes logits although hidden states are wanted; IC-Former (github.com/wonderful9462/IC-Former) reads
chunks one after the other through three layers of cross attention whose keys and values are computed anew for each. Published scripts
compress one text at a time; here a batch of equal lengths goes through at once, which is faster.
"""

import argparse
import json
import statistics

import torch
import transformers
from torch import nn

from compare_compression import SEGMENT, SLOTS, LowRank
from gpu_shapes import SHAPES
from gpu_transformers import seconds

SIZES = [(8, 2048), (8, 512), (32, 512)]
LAYERS, ROPE_BASE = 3, 10000.0


class Icae:
    def __init__(self, model):
        self.model, self.embed = model, model.get_input_embeddings()
        self.slots = torch.randn(1, SLOTS, self.embed.weight.shape[1]) * 0.1

    def compress(self, ids):
        memories = []
        for segment in ids.split(SEGMENT, 1):
            rows = torch.cat([self.embed(segment), self.slots.expand(len(ids), -1, -1)], 1)
            answer = self.model(inputs_embeds=rows, output_hidden_states=True, use_cache=False)
            memories.append(answer.hidden_states[-1][:, -SLOTS:])
        return torch.cat(memories, 1)


def turned(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class DigestLayer(nn.Module):
    def __init__(self, hidden, ffn, heads):
        super().__init__()
        self.heads = heads
        linear = lambda width, out: nn.Linear(width, out, bias=False)
        self.q, self.k, self.v, self.o = (linear(hidden, hidden) for _ in range(4))
        self.gate, self.up, self.down = linear(hidden, ffn), linear(hidden, ffn), linear(ffn, hidden)
        self.digest_norm, self.context_norm, self.mlp_norm = (nn.RMSNorm(hidden, eps=1e-6) for _ in range(3))

    def forward(self, digests, context, cos, sin, mask):
        split = lambda x: x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        seen = self.context_norm(context)
        last = digests.shape[1]
        q = turned(split(self.q(self.digest_norm(digests))), cos[-last:], sin[-last:])
        k, v = turned(split(self.k(seen)), cos, sin), split(self.v(seen))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + mask
        attended = scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v
        digests = digests + self.o(attended.transpose(1, 2).flatten(2))
        y = self.mlp_norm(digests)
        return digests + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


class IcFormer(nn.Module):
    def __init__(self, model):
        super().__init__()
        hidden, self.heads = model.config.hidden_size, model.config.num_attention_heads
        self.embed = model.get_input_embeddings()
        self.digests = nn.Parameter(torch.randn(1, SLOTS, hidden) * 0.1)
        self.layers = nn.ModuleList(DigestLayer(hidden, model.config.intermediate_size, self.heads) for _ in range(LAYERS))
        self.norm = nn.RMSNorm(hidden, eps=1e-6)

    def compress(self, ids):
        memories = []
        for chunk in ids.split(SEGMENT, 1):
            digests = self.digests.expand(len(ids), -1, -1)
            context = torch.cat([self.embed(chunk), digests], 1)
            rows, width = context.shape[1], context.shape[2] // self.heads
            frequencies = ROPE_BASE ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
            angles = torch.outer(torch.arange(rows, dtype=torch.float32), frequencies).repeat(1, 2)
            cos, sin = angles.cos().to(context.dtype), angles.sin().to(context.dtype)
            mask = torch.full((SLOTS, rows), float("-inf")).triu(rows - SLOTS + 1)
            for layer in self.layers:
                digests = layer(digests, context, cos, sin, mask)
            memories.append(self.norm(digests))
        return torch.cat(memories, 1)


def measured(work, runs):
    work()
    return statistics.median(seconds(work) for _ in range(runs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=[f"{batch}x{length}" for batch, length in SIZES], help="texts x tokens")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_default_device("cuda")
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.LlamaForCausalLM._from_config(transformers.LlamaConfig(**SHAPES[options.shape]), attn_implementation="sdpa").eval()
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "device": torch.cuda.get_device_name()}
    with torch.inference_mode():
        methods = {"reads it all": lambda ids: model(ids, use_cache=True, logits_to_keep=1), "IC-Former as published": IcFormer(model).eval().compress}
        for name in [*methods, "ICAE as published"]:
            if name == "ICAE as published":  # last: the model is changed for it
                for layer in model.model.layers:
                    layer.self_attn.q_proj = LowRank(layer.self_attn.q_proj)
                    layer.self_attn.v_proj = LowRank(layer.self_attn.v_proj)
                methods[name] = Icae(model).compress
            for size in options.sizes:
                ids = torch.randint(0, model.config.vocab_size, tuple(map(int, size.split("x"))))
                try:
                    result.setdefault(size, {})[name] = measured(lambda: methods[name](ids), options.runs)
                except Exception as error:  # a GPU may be too small
                    result.setdefault(size, {})[name] = str(error)[:500]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
