# SPDX-License-Identifier: Apache-2.0
"""Measures OpenVINO GenAI: prefill and greedy decoding of one sequence, as JSON. compare_peers.py calls it, with a Python of its own.

Every prompt is new, for the pipeline keeps the caches of earlier ones and does not compute a beginning twice.
"""

import argparse
import json
import statistics

import numpy as np
import openvino as ov
import openvino_genai

SOME_IDS = 1000, 30000  # neither special nor beyond a vocabulary


class Pipeline:
    def __init__(self, options):
        self.pipeline = openvino_genai.LLMPipeline(options.model, "CPU", INFERENCE_NUM_THREADS=options.threads)
        self.random = np.random.default_rng(0)

    def generate(self, prompt, count):
        """The metrics of exactly `count` new ids after a prompt of random ones."""
        ids = self.random.integers(*SOME_IDS, (1, prompt), dtype=np.int64)
        inputs = openvino_genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        config = openvino_genai.GenerationConfig(do_sample=False, ignore_eos=True, min_new_tokens=count, max_new_tokens=count)
        metrics = self.pipeline.generate(inputs, config).perf_metrics
        made = metrics.get_num_input_tokens(), metrics.get_num_generated_tokens()
        if made != (prompt, count):
            raise SystemExit(f"{prompt} ids in and {count} out were asked for, {made[0]} and {made[1]} were counted")
        return metrics

    def prefill_rate(self, count):
        return count / (self.generate(count, 1).get_ttft().mean / 1e3)

    def decode_rate(self, context, count):
        """The first id belongs to the prompt's pass; `count` more are timed."""
        return 1e3 / self.generate(context, count + 1).get_tpot().mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a GGUF file or a directory of OpenVINO's")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prefill", type=int, nargs="+", required=True)
    parser.add_argument("--context", type=int, required=True, help="ids before the first decoded one")
    parser.add_argument("--decode", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    options = parser.parse_args()

    pipeline = Pipeline(options)
    rates = {}
    for count in options.prefill:
        pipeline.prefill_rate(count)  # makes the kernels of this length
        rates[f"prefill {count}"] = statistics.median(pipeline.prefill_rate(count) for _ in range(options.runs))
    pipeline.decode_rate(options.context, 8)
    rates["decode"] = statistics.median(pipeline.decode_rate(options.context, options.decode) for _ in range(options.runs))
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
