/** @file protobufjs, loaded when something is decoded for the first time: its files are a tenth of what loading jorch takes. */
import type * as protobufjs from 'protobufjs/light';

export type { Root } from 'protobufjs/light';

/** The messages of a schema. */
export const rootOf = (schema: unknown): protobufjs.Root => {
  const { Root } = require('protobufjs/light') as typeof protobufjs;
  return Root.fromJSON(schema as protobufjs.INamespace);
};
