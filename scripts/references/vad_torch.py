"""What Silero VAD says to a synthetic vowel that swells and falls, under PyTorch. Stored in test/data/vad-torch.json.

    pip install torch==2.11.0 silero-vad==6.2.3
    python scripts/references/vad_torch.py silero_vad/data/silero_vad.jit test/data/vad-torch.json
"""
import json
import sys

import torch

model = torch.jit.load(sys.argv[1])
n = torch.arange(40 * 512, dtype=torch.float64)
# A vowel: harmonics of a larynx that trembles, through three formants, with the rhythm of syllables and pauses.
phase = 2 * torch.pi * 120 * n / 16000 + 2 * torch.sin(2 * torch.pi * 5 * n / 16000)
vowel = torch.zeros_like(n)
for k in range(1, 30):
    weight = sum(a / (1 + ((120 * k - centre) / width) ** 2) for centre, width, a in [(700, 100, 1), (1200, 120, 0.6), (2600, 160, 0.3)])
    vowel += weight * torch.sin(k * phase)
sound = (vowel * 0.1 * torch.clamp(torch.sin(2 * torch.pi * 1.2 * n / 16000), min=0)).float()
with torch.no_grad():
    said = [model(chunk.unsqueeze(0), 16000).item() for chunk in sound.split(512)]
json.dump({"made_by": "scripts/references/vad_torch.py", "torch": torch.__version__, "probabilities": said}, open(sys.argv[2], "w"))
