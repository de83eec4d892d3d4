/** @file Row 21: the attacks that safetensors' own repository lists, and mutants of every format. The long form is test/stress/files.stress.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';
import { figure } from '../support/figure.js';
import { KINDS, mutantsInProcess } from '../support/hostile-files.js';

describe('attacks on files of tensors (huggingface/safetensors, attacks/README.md)', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'jorch-attacks-'));
  });
  after(() => rmSync(folder, { recursive: true }));
  const path = (): string => join(folder, 'attack.safetensors');

  const write = (header: unknown, data = 0, length?: bigint): string => {
    const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(length ?? BigInt(json.length));
    writeFileSync(path(), Buffer.concat([size, json, Buffer.alloc(data)]));
    return path();
  };
  const entry = (from: number, to: number, shape: readonly number[] = [2, 2]): unknown => ({
    dtype: 'F32',
    shape,
    data_offsets: [from, to],
  });
  const refused = (words: RegExp, file: string): void => fails('BAD_ARGUMENT', words, () => torch.load_file(file));

  const attacks: Readonly<Record<string, () => void>> = {
    'a header longer than the file, or than 100 MB': () => {
      refused(/has only/, write({ weight: entry(0, 16) }, 16, 1000n));
      refused(/at most 100000000/, write({ weight: entry(0, 16) }, 16, 2n ** 32n));
    },
    'a header of 100 000 tensors over the same bytes': () => {
      const many = Object.fromEntries(
        Array.from({ length: 100_000 }, (_, i) => [`weight_${i}`, entry(0, 160_000, [200, 200])]),
      );
      refused(/overlap or hole/, write(many, 160_000));
    },
    'offsets that are negative or outside of the file': () => {
      refused(/no valid shape and data_offsets/, write({ weight: entry(-16, 0) }, 16));
      refused(/accounts for|overlap or hole/, write({ weight: entry(2 ** 40, 2 ** 40 + 16) }, 16));
      refused(/has 16 bytes of data, its header accounts for 32/, write({ a: entry(0, 16), b: entry(16, 32) }, 16));
    },
    'offsets that overlap or leave holes': () => {
      refused(/overlap or hole/, write({ a: entry(0, 16), b: entry(8, 24) }, 24));
      refused(/overlap or hole/, write({ a: entry(0, 16), b: entry(20, 36) }, 36));
    },
    'shapes that do not fit their bytes': () => {
      refused(/does not fit its bytes/, write({ weight: entry(0, 16, [2, 3]) }, 16));
      refused(/does not fit its bytes/, write({ weight: entry(0, 16, [2 ** 32, 2 ** 32, 4]) }, 16));
    },
    'a file that changes while it is open': () => {
      const file = torch.safe_open(write({ weight: entry(0, 16) }, 16));
      truncateSync(path(), 60);
      fails('BAD_ARGUMENT', /became shorter/, () => file.get_tensor('weight'));
      file.close();
    },
    'JSON against its parser': () => {
      refused(/not JSON|no JSON object|no valid|dtype/, write(`${'['.repeat(500_000)}${']'.repeat(500_000)}`));
      refused(/dtype|no valid/, write(`{"a":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`));
      refused(/not JSON/, write(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22]).toString('latin1')));
      refused(/no valid shape/, write('{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', 4));
    },
    'archives that are small and unpack to gigabytes (torch_dos, numpy_dos)': () => {
      const bomb = deflateRawSync(Buffer.alloc(1 << 22));
      const name = Buffer.from('weights.npy');
      const common = Buffer.alloc(26);
      common.writeUInt16LE(20, 0);
      common.writeUInt16LE(8, 4);
      common.writeUInt32LE(bomb.length, 14);
      common.writeUInt32LE(4_000_000_000, 18);
      common.writeUInt16LE(name.length, 22);
      const central = Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), common, Buffer.alloc(14), name]);
      const end = Buffer.alloc(22);
      end.write('PK\x05\x06', 'latin1');
      end.writeUInt16LE(1, 8);
      end.writeUInt16LE(1, 10);
      end.writeUInt32LE(central.length, 12);
      end.writeUInt32LE(30 + name.length + bomb.length, 16);
      for (const file of ['dos.npz', 'dos.pt']) {
        writeFileSync(join(folder, file), Buffer.concat([Buffer.from('PK\x03\x04'), common, name, bomb, central, end]));
        fails('BAD_ARGUMENT', /no honest archive|compress/, () => torch.load(join(folder, file)));
      }
    },
  };
  for (const [name, attack] of Object.entries(attacks))
    it(name, () => {
      const before = process.memoryUsage.rss();
      attack();
      assert.ok(process.memoryUsage.rss() - before < 400 * 2 ** 20, 'no more memory than the file and its header need');
    });
  it('all of them', () => figure(21, `${Object.keys(attacks).length} known attacks refused`));
});

describe('mutants of files', function () {
  this.timeout(120_000);
  for (const kind of KINDS)
    it(`2 000 of ${kind}: tensors that the bytes account for, or an error in words`, () => {
      const { refused, loaded, wrong } = mutantsInProcess(kind, 1, 2000);
      assert.deepEqual(wrong, []);
      assert.equal(refused + loaded, 2000);
      assert.ok(refused > 200 && loaded > 200, `${refused} refused, ${loaded} loaded`);
    });
});
