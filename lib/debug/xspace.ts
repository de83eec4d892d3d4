/** @file What XLA's plugin notes of its own work, as events of a Chrome trace. */
import { rootOf } from '../inspect/protobuf.js';
import { runtimeAddon } from '../runtime/load.js';

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule ? { rule } : {}) });

/** The fields that are read of tsl/profiler/protobuf/xplane.proto (openxla/xla). */
const SCHEMA = {
  nested: {
    XSpace: { fields: { planes: field(1, 'XPlane', 'repeated') } },
    XPlane: {
      fields: {
        name: field(2, 'string'),
        lines: field(3, 'XLine', 'repeated'),
        eventMetadata: { id: 4, keyType: 'int64', type: 'XEventMetadata' },
      },
    },
    XLine: {
      fields: {
        name: field(2, 'string'),
        timestampNs: field(3, 'int64'),
        events: field(4, 'XEvent', 'repeated'),
        displayName: field(11, 'string'),
      },
    },
    XEvent: { fields: { metadataId: field(1, 'int64'), offsetPs: field(2, 'int64'), durationPs: field(3, 'int64') } },
    XEventMetadata: { fields: { name: field(2, 'string'), displayName: field(4, 'string') } },
  },
};

interface XPlane {
  readonly name: string;
  readonly lines: readonly {
    readonly name: string;
    readonly displayName: string;
    readonly timestampNs: string;
    readonly events: readonly { readonly metadataId: string; readonly offsetPs: string; readonly durationPs: string }[];
  }[];
  readonly eventMetadata: Readonly<Record<string, { readonly name: string; readonly displayName: string }>>;
}

/** Chrome's events of an XSpace: a process for each plane, a thread for each of its lines. Times in microseconds since `origin` (ns since 1970). */
export const eventsOf = (bytes: Uint8Array, origin: bigint): object[] => {
  const message = rootOf(SCHEMA).lookupType('XSpace');
  // Nanoseconds since 1970 are no safe integers.
  const { planes } = message.toObject(message.decode(bytes), { longs: String, defaults: true }) as { planes: XPlane[] };
  return planes.flatMap((plane, place) => {
    if (plane.lines.length === 0) return [];
    // Beside the process of ours.
    const pid = process.pid + 1 + place;
    const head = { name: 'process_name', ph: 'M', pid, tid: 0, args: { name: `XLA ${plane.name}` } };
    return [
      head,
      ...plane.lines.flatMap(({ name, displayName, timestampNs, events }, tid) => {
        const start = Number(BigInt(timestampNs) - origin) / 1e3;
        return [
          { name: 'thread_name', ph: 'M', pid, tid, args: { name: displayName || name } },
          ...events.map(({ metadataId, offsetPs, durationPs }) => {
            const what = plane.eventMetadata[metadataId];
            return {
              name: what?.displayName || what?.name || metadataId,
              cat: 'xla',
              ph: 'X',
              pid,
              tid,
              ts: start + Number(offsetPs) / 1e6,
              dur: Number(durationPs) / 1e6,
            };
          }),
        ];
      }),
    ];
  });
};

let plugin: string | undefined;
/** A plugin that keeps notes of its work was loaded: profiles ask it for them from now on. */
export const noteUse = (path: string): void => {
  plugin = path;
};

/** Lets the plugin for CUDA, where it is in use, note what it does; the function ends that and gives the events. */
export const recordPlugin = (): (() => object[]) => {
  const addon = runtimeAddon();
  const recording = plugin === undefined ? undefined : addon.beginProfile(plugin);
  return () =>
    recording === undefined
      ? []
      : eventsOf(addon.endProfile(recording), BigInt(Math.round(performance.timeOrigin * 1e3)) * 1000n);
};
