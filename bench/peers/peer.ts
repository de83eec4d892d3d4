/** @file A peer: a framework in a process of its own, asked with lines of JSON. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How to start one: a command and its arguments, without a shell. */
export interface PeerCommand {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
/** Make a case ready and compute it once; call it for so many seconds; tell the memory used at most; write graphs for onnxruntime to a folder. */
export interface Request {
  readonly do: 'prepare' | 'time' | 'memory' | 'onnx';
  readonly case?: string;
  readonly seconds?: number;
  readonly folder?: string;
}
export interface Reply {
  readonly first?: number;
  readonly answers?: readonly number[];
  readonly us?: number;
  readonly mib?: number;
  readonly error?: string;
}

export class Peer {
  readonly name: string;
  private readonly child: ChildProcess;
  private readonly replies: AsyncIterator<string>;
  private gone: string | undefined;
  private readonly ended: Promise<undefined>;

  constructor({ name, command, env }: PeerCommand) {
    this.name = name;
    const [program, ...args] = command;
    this.child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...env } });
    this.replies = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
    this.child.stdin!.on('error', () => undefined); // a dead peer: the reply says so
    this.ended = new Promise((done) => {
      this.child.once('error', (error) => {
        this.gone = error.message;
        done(undefined);
      });
      this.child.once('exit', (code) => {
        this.gone ??= `the process ended with ${code}`;
        done(undefined);
      });
    });
  }

  async ask(request: Request): Promise<Reply> {
    if (this.gone !== undefined) return { error: this.gone };
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    const line = await Promise.race([this.replies.next(), this.ended]);
    return line === undefined || line.done === true
      ? { error: this.gone ?? 'no answer' }
      : (JSON.parse(line.value) as Reply);
  }

  close(): void {
    this.child.stdin!.end();
  }

  /** Closes it and waits until it is gone. */
  async end(): Promise<void> {
    this.close();
    await this.ended;
  }
}
