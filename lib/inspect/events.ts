/** @file What compiled functions do, for whoever listens: node:diagnostics_channel, and lines on stderr with JORCH_LOG=debug. */
import { type Channel, channel } from 'node:diagnostics_channel';

/** Channel `jorch:compile`: a program was made. */
export interface CompileEvent {
  /** Of the compiled function. */
  readonly name: string;
  /** Why it was needed. */
  readonly reason: string;
  /** Operators in the program, and how many of them run libtorch's kernels. */
  readonly operators: number;
  readonly calls: number;
}
/** Channel `jorch:miss`: no program fits a call; `jorch:hit`: one does (`reason` is then left out). */
export interface CallEvent {
  readonly name: string;
  readonly reason?: string;
}
/** Channel `jorch:evict`: programs were dropped, the least recently used. */
export interface EvictEvent {
  readonly name: string;
  readonly programs: number;
}
/** Channel `jorch:cache`: a program was looked for in the persistent cache. */
export interface CacheEvent {
  readonly hit: boolean;
  /** From the cache or from XLA. */
  readonly ms: number;
}

/** Publishing costs nothing while nobody subscribes; the hit path asks `hasSubscribers` itself. */
export class Event<T extends object> {
  private readonly channel: Channel;
  constructor(name: string) {
    this.channel = channel(name);
  }
  get heard(): boolean {
    return this.channel.hasSubscribers;
  }
  publish(event: T): void {
    if (this.channel.hasSubscribers) this.channel.publish(event);
  }
  subscribe(listener: (event: T) => void): void {
    this.channel.subscribe((event) => listener(event as T));
  }
}

export const events = {
  hit: new Event<CallEvent>('jorch:hit'),
  miss: new Event<CallEvent>('jorch:miss'),
  compile: new Event<CompileEvent>('jorch:compile'),
  evict: new Event<EvictEvent>('jorch:evict'),
  cache: new Event<CacheEvent>('jorch:cache'),
};

const log = (text: string): void => {
  process.stderr.write(`jorch: ${text}\n`);
};

if (process.env.JORCH_LOG === 'debug') {
  events.miss.subscribe(({ name, reason }) => log(`${name}: no program fits: ${reason}`));
  events.compile.subscribe(({ name, operators, calls }) =>
    log(`${name}: compiled ${operators} operators${calls > 0 ? `, ${calls} of them as ATen calls` : ''}`),
  );
  events.evict.subscribe(({ name, programs }) =>
    log(`${name}: ${programs} program${programs === 1 ? '' : 's'} dropped`),
  );
  events.cache.subscribe(({ hit, ms }) => log(`cache ${hit ? 'hit' : 'miss'}, ${ms.toFixed(1)} ms`));
}
