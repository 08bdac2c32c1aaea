import { expect, test } from 'vitest';
import { createCopyWatch } from '#agent/disks/in-guest/copy-watch';
import type { Copy } from '#agent/disks/in-guest/guest-copies';
import type { Problem } from '#agent/health/problems';

const setup = (guard: () => Promise<Copy[]>) => {
  const raised = new Map<number | null, string>();
  const logged: string[] = [];
  const { tick } = createCopyWatch({
    guard,
    problems: {
      raise: ({ vmid, sentence }) => void raised.set(vmid, sentence),
      clear: (_code, vmid) => void raised.delete(vmid),
      list: () =>
        [...raised].map(
          ([vmid, sentence]): Problem => ({
            code: 'drive-seen-by-copy',
            severity: 'warning',
            vmid,
            sentence,
            evidence: '',
            nextStep: '',
            since: 0,
          }),
        ),
    },
    journal: (_level, sentence) => void logged.push(sentence),
  });
  return { tick, raised, logged };
};

test('the guest whose drives a copy sees is told, until that has ended', async () => {
  let copies: Copy[] = [
    { vmid: 105, of: 101 },
    { vmid: 106, of: 101 },
    { vmid: 106, of: 102 },
  ];
  const { tick, raised } = setup(async () => copies);
  await tick();
  expect([...raised.keys()]).toEqual([101, 102]);
  expect(raised.get(101)).toContain('Another guest (105, 106) was made from this one');
  copies = [{ vmid: 106, of: 102 }];
  await tick();
  expect([...raised.keys()]).toEqual([102]);
});

test('what cannot be told now leaves what was told before, and is logged once', async () => {
  let fails = false;
  const { tick, raised, logged } = setup(async () => {
    if (fails) throw new Error('not mounted');
    return [{ vmid: 105, of: 101 }];
  });
  await tick();
  fails = true;
  await tick();
  await tick();
  expect([...raised.keys()]).toEqual([101]);
  expect(logged).toHaveLength(1);
  fails = false;
  await tick();
  fails = true;
  await tick();
  expect(logged).toHaveLength(2);
});
