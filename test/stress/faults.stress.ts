/** @file Row 9, the long form: faults of every kind at place after place of every scenario. */
import assert from 'node:assert/strict';
import { faultCampaign, KINDS } from '../faults/campaign.js';
import { figure } from '../support/figure.js';

/** Every place up to the tenth, then ever fewer: nearer to 1 takes hours. */
const GROWTH = 1.1;

describe('stress: faults', () => {
  for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[])
    it(`row 9: a failing ${kind} at place after place of every scenario`, function () {
      const told = faultCampaign(kind, GROWTH);
      if (told === undefined) return void this.skip();
      figure(
        9,
        `failing ${kind}: ${told.runs} runs, ${told.refused} errors, ${told.runs - told.refused} came through, ${told.wrong.length} wrong`,
      );
      assert.deepEqual(told.wrong, []);
    });
});
