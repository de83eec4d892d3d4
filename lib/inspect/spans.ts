/** @file Spans of time for debug.profile: what jorch did while a profile runs. Costs one comparison while none does. */

export interface Span {
  readonly name: string;
  readonly category: 'js' | 'trace' | 'lower' | 'compile' | 'execute';
  /** Milliseconds of performance.now(). */
  readonly start: number;
  readonly duration: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

class Spans {
  private kept: Span[] | undefined;

  get open(): boolean {
    return this.kept !== undefined;
  }

  /** What happened from `start` until now. */
  add(name: string, category: Span['category'], start: number, args?: Span['args']): void {
    this.kept?.push({ name, category, start, duration: performance.now() - start, ...(args ? { args } : {}) });
  }

  begin(): void {
    this.kept = [];
  }

  end(): readonly Span[] {
    const spans = this.kept ?? [];
    this.kept = undefined;
    return spans;
  }
}

export const spans = new Spans();
