"""Seconds and memory that a plan takes: python benchmarks/plan_time.py

Prints, for a perceptron and a convolutional net of 1,000 layers and a language model of 70 billion parameters without
memory (Hugging Face's Llama, 80 layers of width 8192, on the meta device), the seconds of `wellbegun.plan` by the clock
and by the processor, and by how much the peak memory of the process grew. Each is planned in a process of its own,
after a small plan that loads what torch loads on first use.
"""

import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

import wellbegun as wb
from wellbegun.inputs import InputSpec

LLAMA = {
    "vocab_size": 128256,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
}


def perceptron() -> tuple[nn.Module, object]:
    return nn.Sequential(*(nn.Linear(64, 64) if i % 2 == 0 else nn.ReLU() for i in range(2000))), (8, 64)


def convolutional() -> tuple[nn.Module, object]:
    layers = (nn.Conv2d(8, 8, 3, padding=1) if i % 2 == 0 else nn.ReLU() for i in range(2000))
    return nn.Sequential(*layers), (2, 8, 16, 16)


def llama() -> tuple[nn.Module, object]:
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**LLAMA)), {"input_ids": InputSpec((1, 16), "int64", LLAMA["vocab_size"])}


MODELS = {
    "MLP, 1,000 layers": perceptron,
    "convolutions, 1,000 layers": convolutional,
    "Llama, 70 B, on meta": llama,
}


def peak() -> float:
    """Peak memory of this process in MB."""
    status = Path("/proc/self/status").read_text()  # ru_maxrss would know that of the process that started this one
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(name: str) -> None:
    wb.plan(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (2, 4))
    model, batch = MODELS[name]()
    memory, clock, processor = peak(), time.perf_counter(), time.process_time()
    plan = wb.plan(model, batch, seed=0)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    count = sum(parameter.numel() for parameter in model.parameters())
    grown = peak() - memory
    print(f"{name:28} {count:16,d} {len(plan):8,d} {clock:8.2f} {processor:10.2f} {grown:9.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        print(
            f"{'model':28} {'parameters':>16} {'entries':>8} {'seconds':>8} {'processor':>10} {'MB more':>9}",
            flush=True,
        )
        for name in MODELS:
            subprocess.run([sys.executable, __file__, name], check=True)
