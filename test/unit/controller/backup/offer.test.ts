import { expect, test } from 'vitest';
import { offerOf } from '#controller/backup/offer';
import { notDue, offer } from '../fake-agent.ts';

const HOST = Date.parse('2026-03-01T04:00:00Z');
const ANSWERED = { askedAt: 5000, hostTime: HOST };

test('nothing is offered where nothing is due', () => {
  expect(offerOf(notDue, ANSWERED)).toBeNull();
});

test.each([
  ['180 s by the clock of the host', '2026-03-01T04:03:00Z', HOST, 5000 + 178_000],
  ['an offer made a while ago', '2026-03-01T04:00:10Z', HOST, 5000 + 8000],
  ['an offer that is over', '2026-03-01T03:59:00Z', HOST, 5000 - 62_000],
  ['an offer without an end', null, HOST, Number.POSITIVE_INFINITY],
  ['a host that does not tell its time', '2026-03-01T04:03:00Z', Number.NaN, Number.POSITIVE_INFINITY],
])('%s', (_what, slot_expires_at, hostTime, lapsesAt) => {
  expect(offerOf({ ...offer, slot_expires_at }, { askedAt: 5000, hostTime })).toMatchObject({ lapsesAt });
});
