import { expect, test } from 'vitest';
import { freeSlot, ownerOfShare, shareId, sharesIn } from '#agent/disks/in-guest/machine-line';

test('what a virtual machine shares, with the key given or left out', () => {
  const text =
    'name: vm\nvirtiofs0: felhom-100\nvirtiofs3: cache=always,dirid=media\n#virtiofs4: x\n\n[old]\nvirtiofs5: felhom-105\n';
  expect(sharesIn(text)).toEqual([
    { slot: 'virtiofs0', id: 'felhom-100' },
    { slot: 'virtiofs3', id: 'media' },
  ]);
  expect(sharesIn(text).map(ownerOfShare)).toEqual([100, null]);
  expect(ownerOfShare({ slot: 'virtiofs0', id: shareId(105) })).toBe(105);
  expect(ownerOfShare({ slot: 'virtiofs0', id: 'felhom-105-old' })).toBeNull();
});

test('a free key is one that no pending change and no snapshot uses either', () => {
  expect(freeSlot('name: vm\n')).toBe('virtiofs0');
  expect(freeSlot('virtiofs0: a\n\n[pve:pending]\nvirtiofs1: b\n[old]\nvirtiofs2: c\n')).toBe('virtiofs3');
  expect(freeSlot(Array.from({ length: 10 }, (_, at) => `virtiofs${at}: x\n`).join(''))).toBeNull();
});
