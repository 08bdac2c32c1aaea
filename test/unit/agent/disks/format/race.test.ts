/** T13 on a host in memory: whatever happens between any two steps of a format, only what was meant is written, and only as it was meant. */
import { expect, test } from 'vitest';
import { FelhomError } from '#shared/errors';
import { type Physical, raceHost, randomly } from './race-host.ts';

const RUNS = 1_000;

const codeOf = (error: unknown): string => (error instanceof FelhomError ? error.code : `not a refusal: ${String(error)}`);

/** @returns what came of it: `formatted`, or the code of the refusal */
const confirmed = async (seed: number): Promise<string> => {
  const host = await raceHost(randomly(seed));
  const [one, two] = host.drives as [Physical, Physical];
  host.plug('sdb', one);
  host.plug('sdc', two);
  const before = { id: one.id, label: one.label, isHosts: false, isBlank: false };
  const id = await host.format(101, { device: 'sdb', fstype: 'ext4' }).then(
    () => expect.fail('it was not asked'),
    (error: FelhomError) => error.details.needsConfirmation?.durableId ?? '',
  );
  const came = await host
    .restless(() => host.format(101, { device: 'sdb', fstype: 'ext4', confirmed: true, durable_id: id }))
    .then(({ formatted }) => (formatted ? 'formatted' : 'under way'), codeOf);
  expect([seed, host.written]).toEqual([seed, came === 'formatted' ? [before] : []]);
  // Used or not, the same id never writes a second time, or to another.
  await host.restless(() => host.format(101, { device: 'sdb', fstype: 'ext4', confirmed: true, durable_id: id })).catch(codeOf);
  for (const what of host.written) expect([seed, what]).toEqual([seed, before]);
  expect(host.written.length).toBeLessThanOrEqual(1);
  return came;
};

/** Of a blank drive nothing is told but its name: it must be the one that was there, and blank, when it is written. */
const blank = async (seed: number): Promise<string> => {
  const host = await raceHost(randomly(seed));
  for (const drive of host.drives) drive.isBlank = drive.id !== 2;
  host.plug('sdb', host.drives[0] as Physical);
  host.plug('sdc', host.drives[1] as Physical);
  const came = await host
    .restless(() => host.format(101, { device: 'sdb', fstype: 'ext4' }))
    .then(({ formatted }) => (formatted ? 'formatted' : 'under way'), codeOf);
  expect([seed, host.written.length]).toEqual([seed, came === 'formatted' ? 1 : 0]);
  for (const what of host.written) expect([seed, what]).toMatchObject([seed, { isBlank: true, isHosts: false }]);
  return came;
};

test.each([
  ['confirmed', confirmed],
  ['of a blank drive', blank],
] as const)(`${RUNS} formats, %s, with drives swapped, replugged and changed between every two steps`, async (_what, run) => {
  const came = new Map<string, number>();
  for (let seed = 1; seed <= RUNS; seed += 1) {
    const what = await run(seed);
    came.set(what, (came.get(what) ?? 0) + 1);
  }
  // Enough of both for it to say something.
  expect(came.get('formatted')).toBeGreaterThan(RUNS / 20);
  expect(RUNS - (came.get('formatted') ?? 0)).toBeGreaterThan(RUNS / 4);
  for (const code of came.keys()) expect(code).not.toMatch(/not a refusal|internal|under way/);
});
