/** `npm run test:vm`: what only a whole machine shows. One boot for all, in this order; the last case ends the machine. */
import { afterAll, beforeAll, describe } from 'vitest';
import { assignCases } from './cases/assign.ts';
import { formatCases } from './cases/format.ts';
import { hostileCases, panicCase } from './cases/hostile.ts';
import { hungCases } from './cases/hung.ts';
import { inventoryCases } from './cases/inventory.ts';
import { sandboxCases } from './cases/sandbox.ts';
import { smartCases } from './cases/smart.ts';
import { thinCases } from './cases/thin.ts';
import { figure, report } from './figures.ts';
import { startHost, type VmHost } from './host.ts';
import { whyNoMachine } from './image.ts';

const why = whyNoMachine();

describe.skipIf(why !== '')(`a host of its own${why === '' ? '' : ` (skipped: ${why})`}`, () => {
  let started: VmHost | undefined;
  const host = (): VmHost => {
    if (started === undefined) throw new Error('the machine is not up');
    return started;
  };

  beforeAll(async () => {
    const began = performance.now();
    started = await startHost([101, 102]);
    figure('from nothing to an agent that knows its drives', performance.now() - began);
  });
  afterAll(async () => {
    await started?.close();
    process.stdout.write(`\n${report()}`);
  });

  inventoryCases(host);
  smartCases(host);
  thinCases(host);
  sandboxCases(host);
  assignCases(host);
  hungCases(host);
  hostileCases(host);
  formatCases(host);
  panicCase(host);
});
