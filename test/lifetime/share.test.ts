/** @file share and receive: one memory in several threads, alive as long as any of them holds it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

describe('share', () => {
  it('a worker has the same memory, writes to it, and gives tensors back that outlive it', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'fixtures', 'share.js')], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), {
      seen: [[0, 1, 2, 3], true, 'said', 6],
      code: 0,
      written: [10, 11, 12, 13],
      returned: [20, 22, 24, 26],
    });
  });

  it('a token is received as often as it says; views share their base; disposing one side leaves the other', () => {
    const x = torch.arange(6, { dtype: torch.float32 }).view(2, 3);
    const token = torch.share([x.t(), x], { receivers: 2 });
    const [transposed, whole] = torch.receive(token);
    assert.deepEqual([...transposed!.shape], [3, 2]);
    whole!.zero_();
    assert.equal(x.sum().item(), 0);
    x.dispose();
    assert.deepEqual(torch.receive(token)[1]!.tolist(), [
      [0, 0, 0],
      [0, 0, 0],
    ]);
    fails('BAD_ARGUMENT', /was received already/, () => torch.receive(token));
  });

  it('a token survives structuredClone; one that is withdrawn is gone', () => {
    const token = structuredClone(torch.share(new Map([['a', torch.ones(2)]])));
    assert.deepEqual(torch.receive(token).get('a')!.tolist(), [1, 1]);
    const other = torch.share(torch.ones(1));
    assert.equal(torch.withdraw(other), true);
    assert.equal(torch.withdraw(other), false);
    fails('BAD_ARGUMENT', /withdrawn/, () => torch.receive(other));
  });

  it('holds the memory while nobody has received it, and lets it go afterwards', () => {
    torch.scope(() => {
      const before = torch.memory().bytes;
      const token = torch.share(torch.scope(() => torch.ones(1000)));
      torch.receive(token).dispose();
      assert.ok(torch.memory().bytes <= before + 8000);
    });
  });

  it('refuses histories, memory of typed arrays, traces, and what is no token', () => {
    const leaf = torch.ones(2).requires_grad_(true);
    fails('BAD_ARGUMENT', /share x\.detach\(\)/, () => torch.share(leaf.mul(2)));
    fails('BAD_ARGUMENT', /typed array[\s\S]*share x\.clone\(\)/, () =>
      torch.share(torch.frombuffer(new Float32Array(4))),
    );
    fails('BAD_ARGUMENT', /not inside compile/, () =>
      torch.compile((x: torch.Tensor) => {
        torch.share(x);
        return x;
      })(torch.ones(1)),
    );
    for (const odd of [undefined, null, 3, {}, { kind: 'jorch.share' }])
      fails('BAD_ARGUMENT', /expected what share\(\) gave/, () => torch.receive(odd as never));
    for (const number of [0, -1, 0.5, Number.NaN, 2 ** 60])
      fails('BAD_ARGUMENT', /receive/, () =>
        torch.receive({ kind: 'jorch.share', tensors: [number], structure: { kind: 'tensor' } } as never),
      );
    for (const receivers of [0, -1, 1.5, 2 ** 32])
      fails('BAD_ARGUMENT', /receivers/, () => torch.share(leaf, { receivers }));
  });
});
