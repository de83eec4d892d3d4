/** @file Writes the state of states.ts in every format into a folder, for Python to read (scripts/references/states_torch.py). */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { FORMATS, stateFor } from './states.js';

const folder = process.argv[2]!;
mkdirSync(folder, { recursive: true });
for (const format of FORMATS) torch.save(stateFor(format), join(folder, `state.${format}`));
