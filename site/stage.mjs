/** Copies the pages into this folder: vitepress resolves what they import from where they lie. */
import { cpSync, rmSync } from 'node:fs';

rmSync('stage', { recursive: true, force: true });
cpSync('../docs', 'stage/docs', { recursive: true });
cpSync('../ARCHITECTURE.md', 'stage/ARCHITECTURE.md');
