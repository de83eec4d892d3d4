/** @file A worker for the pool's test: sample 2 crashes, sample 5 never ends, sample 7 breaks its batch. */
import type { Reply, Unit } from './worker.js';

process.on('message', ({ samples }: Unit) => {
  if (samples.includes(2)) process.kill(process.pid, 'SIGSEGV');
  else if (samples.includes(5)) for (;;);
  else if (samples.includes(7)) process.send!({ error: 'cannot be compiled' } satisfies Reply);
  else {
    const findings = samples.map((sample) => ({
      sample,
      status: 'pass' as const,
      gradient: 'none' as const,
      messages: [],
      atenCalls: [],
      expanded: false,
    }));
    process.send!({ findings } satisfies Reply);
  }
});
