/** What was asked to be confirmed, over a real database: for one drive as it was, one guest, one file system; 15 minutes of this boot, once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Confirmations, createConfirmations } from '#agent/disks/format/confirmations';
import type { Drive } from '#agent/disks/inventory/drive';
import { openStore, type Store } from '#agent/ports/store';
import { fakeClock } from '../../fake-clock.ts';
import { madeDrive, madeFilesystem, madeRecord } from '../made.ts';

let dir: string;
let store: Store;
let time: ReturnType<typeof fakeClock>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-confirm-'));
  store = await openStore(join(dir, 'felhom.db'));
  time = fakeClock();
  await store.write({
    sql: "INSERT INTO drives (id, name, model, serial, wwn, transport, first_seen_at, last_seen_at) VALUES (1, 'sdb', '', '', '', '', 0, 0), (2, 'sdc', '', '', '', '', 0, 0)",
  });
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

const open = (bootId = 'this'): Confirmations =>
  createConfirmations({ store, clock: time.clock, boot: { bootId, ms: () => time.clock.monotonic() } });

const drive = (facts: Parameters<typeof madeDrive>[0] = {}): Drive =>
  madeDrive({ record: madeRecord(), filesystems: [madeFilesystem()], ...facts });
const ASKED = { vmid: 101, fstype: 'ext4' } as const;

test('it holds for what was asked, until it is used', async () => {
  const confirmations = open();
  const id = await confirmations.ask(drive(), ASKED);
  expect(await confirmations.holds(id, drive(), ASKED)).toBe(true);
  // An agent that is started anew knows it too.
  expect(await open().holds(id, drive(), ASKED)).toBe(true);
  await store.write(confirmations.use(id));
  expect(await confirmations.holds(id, drive(), ASKED)).toBe(false);
});

test.each<[string, Drive, { vmid: number; fstype: 'ext4' | 'xfs' }]>([
  ['another guest', drive(), { ...ASKED, vmid: 102 }],
  ['another file system', drive(), { ...ASKED, fstype: 'xfs' }],
  ['another drive', drive({ record: madeRecord({ id: 2 }) }), ASKED],
  ['another label', drive({ filesystems: [madeFilesystem({ label: 'other' })] }), ASKED],
  ['another role', drive({ role: 'backup' }), ASKED],
  ['another place', drive({ identity: { busPath: 'elsewhere' } }), ASKED],
  ['another plugging in, also of what looks the same', drive({ device: { ...drive().device, diskseq: 8 } }), ASKED],
  ['another size', drive({ identity: { sizeBytes: 7 } }), ASKED],
])('T15: it does not hold for %s', async (_what, other, asked) => {
  const confirmations = open();
  const id = await confirmations.ask(drive(), ASKED);
  expect(await confirmations.holds(id, other, asked)).toBe(false);
});

test('15 minutes of this boot, whatever the wall clock does, and not a moment in another', async () => {
  const id = await open().ask(drive(), ASKED);
  expect(await open('other').holds(id, drive(), ASKED)).toBe(false);
  time.setWall(10 * 86_400_000);
  await time.advance(15 * 60_000);
  expect(await open().holds(id, drive(), ASKED)).toBe(true);
  await time.advance(1);
  time.setWall(-10 * 86_400_000);
  expect(await open().holds(id, drive(), ASKED)).toBe(false);
});

test('whoever asks and asks does not fill the database; the newest hold', async () => {
  const confirmations = open();
  const first = await confirmations.ask(drive(), ASKED);
  let last = '';
  for (let each = 0; each < 30; each += 1) last = await confirmations.ask(drive(), ASKED);
  expect(await store.all('SELECT 1 FROM confirmations')).toHaveLength(16);
  expect([await confirmations.holds(first, drive(), ASKED), await confirmations.holds(last, drive(), ASKED)]).toEqual([
    false,
    true,
  ]);
});
