"""Runs the Python blocks of docs/files.md: the files that its TypeScript blocks load. Stored in test/data/pages/.

    pip install torch==2.11.0
    python scripts/references/pages_torch.py docs/files.md test/data/pages

What names files of the machine that it ran on is taken out of the archives.
"""
import json
import os
import re
import sys
import tempfile

import torch

page, folder = sys.argv[1], os.path.abspath(sys.argv[2])
os.makedirs(folder, exist_ok=True)
code = "".join(re.findall(r"```python\n(.*?)```", open(page).read(), re.S))
with tempfile.TemporaryDirectory() as temporary:
    # In a file: TorchScript reads the source of what it compiles.
    path = os.path.join(temporary, "page.py")
    open(path, "w").write(code)
    os.chdir(temporary)
    torch.manual_seed(0)
    exec(compile(code, path, "exec"), {"__name__": "page", "__file__": path})
    for name in os.listdir(temporary):
        if not name.endswith((".pt", ".pt2")):
            continue
        reader = torch._C.PyTorchFileReader(os.path.join(temporary, name))
        writer = torch._C.PyTorchFileWriter(os.path.join(folder, name))
        for record in reader.get_all_records():
            if record.endswith(".debug_pkl") or record == "version" or record.startswith((".data/", "data/sample_inputs/")):
                continue
            content = reader.get_record(record)
            if record == "models/model.json":
                program = json.loads(content)
                for node in program["graph_module"]["graph"]["nodes"]:
                    node["metadata"] = {}
                content = json.dumps(program).encode()
            writer.write_record(record, content, len(content))
        writer.write_end_of_file()
