import { expect, test } from 'vitest';
import { createWritesOff } from '#agent/disks/sources/writes-off';
import type { NewProblem } from '#agent/health/problems';
import { fakeClock } from '../../fake-clock.ts';

const setup = () => {
  const { clock, advance } = fakeClock();
  let answer = '';
  let runs = 0;
  let distrusted = '';
  const open = new Map<string, NewProblem>();
  const writesOff = createWritesOff({
    clock,
    selfTest: {
      run: async () => {
        runs += 1;
        return answer;
      },
    },
    problems: {
      raise: (problem) => void open.set(problem.code, problem),
      clear: (code) => void open.delete(code),
    },
    distrust: () => distrusted,
  });
  const says = (text: string) => {
    answer = text;
  };
  const distrusts = (text: string) => {
    distrusted = text;
  };
  return { writesOff, open, says, distrusts, advance, runs: () => runs };
};

test('until it was found out that all is seen, nothing is done', async () => {
  const { writesOff } = setup();
  expect(writesOff.why()).toMatch(/only just started/);
  await writesOff.tick();
  expect(writesOff.why()).toBe('');
});

test('while something is missing it looks again each time; a problem at the second', async () => {
  const { writesOff, open, says, runs } = setup();
  says('The agent cannot see the swap space; so it does nothing to drives.');
  await writesOff.tick();
  expect([writesOff.why(), open.size]).toEqual(['The agent cannot see the swap space; so it does nothing to drives.', 0]);
  await writesOff.tick();
  expect(open.get('drive-writes-off')).toMatchObject({ vmid: null, evidence: expect.stringContaining('swap space') });
  says('');
  await writesOff.tick();
  expect([writesOff.why(), open.size, runs()]).toEqual(['', 0, 3]);
});

test('what was fine is looked at again now and then', async () => {
  const { writesOff, says, advance, runs } = setup();
  await writesOff.tick();
  says('gone');
  await advance(599_999);
  await writesOff.tick();
  expect([writesOff.why(), runs()]).toEqual(['', 1]);
  await advance(1);
  await writesOff.tick();
  expect([writesOff.why(), runs()]).toEqual(['gone', 2]);
});

test('while the agent does not trust its own records nothing is done, and that is a problem at once', async () => {
  const { writesOff, open, distrusts } = setup();
  await writesOff.tick();
  distrusts('The database is new, but the file beside the keys is of an older one.');
  expect(writesOff.why()).toMatch(/does not trust its own records.*state accept/);
  await writesOff.tick();
  expect(open.get('drive-writes-off')?.evidence).toMatch(/database is new/);
  distrusts('');
  expect(writesOff.why()).toBe('');
  await writesOff.tick();
  expect(open.size).toBe(0);
});
