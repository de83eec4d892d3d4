/** @file CRC-32 as zip files have it. */
import * as zlib from 'node:zlib';

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** Node's own where it has one (from 20.15 on). */
export const crc32 = (bytes: Uint8Array): number => {
  const own = (zlib as { crc32?: (data: Uint8Array) => number }).crc32;
  if (own !== undefined) return own(bytes);
  let c = 0xffffffff;
  for (const byte of bytes) c = table[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
};
