/**
 * @file Zip archives as .npz and .pt are: entries read by range and on demand, synchronously (yauzl gives promises only), everything checked
 * before anything is allocated. @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import { inflateRawSync } from 'node:zlib';
import { crc32 } from './crc32.js';
import { bad, type SourceFile } from './file.js';

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly compressed: number;
  readonly method: number;
  readonly crc: number;
  readonly offset: number;
}

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
/** Deflate cannot do better than this. */
const MOST_RATIO = 1032;
const MOST_DIRECTORY = 64 << 20;

const big = (file: SourceFile, buffer: Buffer, at: number): number => {
  const value = buffer.readBigUInt64LE(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : bad(file.path, 'has sizes beyond any file');
};

interface Directory {
  readonly count: number;
  readonly size: number;
  readonly offset: number;
}
const findDirectory = (file: SourceFile): Directory => {
  const tailSize = Math.min(file.size, 22 + 0xffff);
  const tail = file.read(file.size - tailSize, tailSize);
  let at = tail.length - 22;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at--;
  if (at < 0) return bad(file.path, 'is cut off or no zip archive: it has no directory');
  const plain = {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  if (at < 20 || tail.readUInt32LE(at - 20) !== LOCATOR64) return plain;
  const record = file.read(big(file, tail, at - 12), 56);
  if (record.readUInt32LE(0) !== END64) return bad(file.path, 'has a damaged zip64 directory');
  return { count: big(file, record, 32), size: big(file, record, 40), offset: big(file, record, 48) };
};

/** Sizes of 64 bits stand in an extra field, in this order, where the ordinary ones are all ones. */
const wide = (file: SourceFile, extra: Buffer, values: number[]): number[] => {
  for (let at = 0; at + 4 <= extra.length; ) {
    const id = extra.readUInt16LE(at);
    const length = extra.readUInt16LE(at + 2);
    if (at + 4 + length > extra.length) break;
    if (id === 1) {
      let from = at + 4;
      return values.map((value) => {
        if (value !== 0xffffffff) return value;
        if (from + 8 > at + 4 + length) return bad(file.path, 'has a damaged zip64 entry');
        from += 8;
        return big(file, extra, from - 8);
      });
    }
    at += 4 + length;
  }
  return values;
};

/** The archive's entries, checked: inside the file, not overlapping, no compression that deflate cannot have done. */
export const readZip = (file: SourceFile): Map<string, ZipEntry> => {
  const { path } = file;
  const { count, size, offset } = findDirectory(file);
  if (size > MOST_DIRECTORY || offset + size > file.size || count * 46 > size) bad(path, 'has a damaged directory');
  const directory = file.read(offset, size);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || directory.readUInt32LE(at) !== CENTRAL) bad(path, 'has a damaged directory');
    const nameLength = directory.readUInt16LE(at + 28);
    const extraLength = directory.readUInt16LE(at + 30);
    const next = at + 46 + nameLength + extraLength + directory.readUInt16LE(at + 32);
    if (next > size) bad(path, 'has a damaged directory');
    const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
    const extra = directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength);
    const [bytes, compressed, start] = wide(file, extra, [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]) as [number, number, number];
    const method = directory.readUInt16LE(at + 10);
    if (directory.readUInt16LE(at + 8) & 1) bad(path, `'${name}' is encrypted`);
    if (method !== 0 && method !== 8)
      bad(path, `'${name}' is compressed by method ${method}, which jorch does not know`);
    if (method === 0 && bytes !== compressed) bad(path, `'${name}' says two different sizes`);
    if (bytes > compressed * MOST_RATIO + 64)
      bad(path, `'${name}' claims that ${compressed} bytes hold ${bytes}: no honest archive does`);
    if (start + 30 + compressed > file.size) bad(path, `'${name}' lies outside the file`);
    if (entries.has(name)) bad(path, `has '${name}' twice`);
    entries.set(name, { name, size: bytes, compressed, method, crc: directory.readUInt32LE(at + 16), offset: start });
    at = next;
  }
  let end = 0;
  for (const entry of [...entries.values()].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset < end) bad(path, `'${entry.name}' overlaps another entry`);
    end = entry.offset + 30 + entry.compressed;
  }
  return entries;
};

/** The bytes of an entry; the checksum must fit. */
export const readEntry = (file: SourceFile, entry: ZipEntry): Buffer => {
  const { path } = file;
  const local = file.read(entry.offset, 30);
  if (local.readUInt32LE(0) !== LOCAL) bad(path, `'${entry.name}' is not where the directory says`);
  const start = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  const stored = file.read(start, entry.compressed);
  let data = stored;
  if (entry.method === 8) {
    try {
      data = inflateRawSync(stored, { maxOutputLength: Math.max(entry.size, 1) });
    } catch {
      return bad(path, `'${entry.name}' cannot be decompressed to the ${entry.size} bytes that the directory says`);
    }
  }
  if (data.length !== entry.size || crc32(data) !== entry.crc)
    bad(path, `'${entry.name}' is damaged: its checksum is wrong`);
  return data;
};

export interface ZipInput {
  readonly name: string;
  /** Made when it is written. */
  readonly bytes: () => Uint8Array;
}
const ALIGNMENT = 64;

/** The chunks of an archive of stored entries, each beginning at a multiple of 64 bytes. */
export function* zipChunks(inputs: Iterable<ZipInput>): Generator<Uint8Array> {
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, bytes } of inputs) {
    const data = bytes();
    const title = Buffer.from(name);
    const isWide = data.length >= 0xffffffff || at >= 0xffffffff;
    const sizes = isWide ? 20 : 0;
    // The padding is an extra field of its own ("FB", as PyTorch writes it).
    const before = at + 30 + title.length + sizes + 4;
    const padding = (ALIGNMENT - (before % ALIGNMENT)) % ALIGNMENT;
    const extra = Buffer.alloc(sizes + 4 + padding, 'Z');
    if (isWide) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(16, 2);
      extra.writeBigUInt64LE(BigInt(data.length), 4);
      extra.writeBigUInt64LE(BigInt(data.length), 12);
    }
    extra.write('FB', sizes, 'latin1');
    extra.writeUInt16LE(padding, sizes + 2);
    const crc = crc32(data);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(LOCAL, 0);
    local.writeUInt16LE(isWide ? 45 : 20, 4);
    local.writeUInt32LE(0x00210000, 10); // 1980-01-01
    local.writeUInt32LE(crc, 14);
    local.writeUInt32LE(isWide ? 0xffffffff : data.length, 18);
    local.writeUInt32LE(isWide ? 0xffffffff : data.length, 22);
    local.writeUInt16LE(title.length, 26);
    local.writeUInt16LE(extra.length, 28);
    const far = Buffer.alloc(isWide ? 28 : 0);
    if (isWide) {
      far.writeUInt16LE(1, 0);
      far.writeUInt16LE(24, 2);
      far.writeBigUInt64LE(BigInt(data.length), 4);
      far.writeBigUInt64LE(BigInt(data.length), 12);
      far.writeBigUInt64LE(BigInt(at), 20);
    }
    const central = Buffer.alloc(46);
    central.writeUInt32LE(CENTRAL, 0);
    central.writeUInt16LE(isWide ? 45 : 20, 4);
    local.copy(central, 6, 4, 26);
    central.writeUInt16LE(title.length, 28);
    central.writeUInt16LE(far.length, 30);
    central.writeUInt32LE(isWide ? 0xffffffff : at, 42);
    directory.push(central, title, far);
    yield local;
    yield title;
    yield extra;
    yield data;
    at += 30 + title.length + extra.length + data.length;
  }
  const central = Buffer.concat(directory);
  const count = directory.length / 3;
  const end = Buffer.alloc(22);
  const isWide = at >= 0xffffffff || count >= 0xffff;
  if (isWide) {
    const end64 = Buffer.alloc(76);
    end64.writeUInt32LE(END64, 0);
    end64.writeBigUInt64LE(44n, 4);
    end64.writeUInt16LE(45, 12);
    end64.writeUInt16LE(45, 14);
    end64.writeBigUInt64LE(BigInt(count), 24);
    end64.writeBigUInt64LE(BigInt(count), 32);
    end64.writeBigUInt64LE(BigInt(central.length), 40);
    end64.writeBigUInt64LE(BigInt(at), 48);
    end64.writeUInt32LE(LOCATOR64, 56);
    end64.writeBigUInt64LE(BigInt(at + central.length), 64);
    end64.writeUInt32LE(1, 72);
    yield central;
    yield end64;
  } else yield central;
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(Math.min(count, 0xffff), 8);
  end.writeUInt16LE(Math.min(count, 0xffff), 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(isWide ? 0xffffffff : at, 16);
  yield end;
}
