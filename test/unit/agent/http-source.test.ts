/** Which peers a listener takes, and where they find it. */
import { expect, test } from 'vitest';
import { admits, reachedAt } from '#agent/http/source';

const INTERFACES = [
  { address: '127.0.0.1', cidr: '127.0.0.1/8' },
  { address: '::1', cidr: '::1/128' },
  { address: '10.10.10.1', cidr: '10.10.10.1/24' },
  { address: 'fe80::1', cidr: 'fe80::1/64' },
  { address: '192.168.1.5', cidr: '192.168.1.5/16' },
  { address: '10.99.0.1', cidr: null },
];

test.each<[string, string, boolean]>([
  ['10.10.10.1', '10.10.10.77', true],
  ['10.10.10.1', '::ffff:10.10.10.77', true],
  ['10.10.10.1', '10.10.10.1', true],
  ['10.10.10.1', '10.10.11.1', false],
  ['10.10.10.1', '192.168.1.9', false],
  ['10.10.10.1', '127.0.0.1', false],
  ['10.10.10.1', 'fe80::2', false],
  ['10.10.10.1', '', false],
  ['10.10.10.1', 'nonsense', false],
  ['fe80::1%vmbr0', 'fe80::2%vmbr0', true],
  ['fe80::1', 'fd00::2', false],
  ['127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '127.9.9.9', true],
  ['127.0.0.1', '::ffff:127.0.0.1', true],
  ['127.0.0.1', '10.10.10.77', false],
  ['::1', '::1', true],
  ['::1', 'fe80::1', false],
  ['0.0.0.0', '192.168.200.1', true],
  ['0.0.0.0', '8.8.8.8', false],
  ['::', '::ffff:10.10.10.9', true],
  ['0:0::0', 'fe80::2', true],
  ['10.77.0.1', '10.77.0.2', false],
  ['10.99.0.1', '10.99.0.2', false],
])('the listener %s and a peer at %s: %s', (listener, source, expected) => {
  expect(admits(listener, source, INTERFACES)).toBe(expected);
});

test.each([
  ['10.10.10.1', ['10.10.10.1']],
  ['0.0.0.0', ['10.10.10.1', '192.168.1.5', '10.99.0.1']],
  ['::', []],
])('guests find the listener %s at %j', (listener, expected) => {
  expect(reachedAt(listener, INTERFACES)).toEqual(expected);
});
