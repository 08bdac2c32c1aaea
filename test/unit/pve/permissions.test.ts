/** The permission algebra: levels, propagation, groups, pools, NoAccess, and tokens with privilege separation. */

import { expect, test } from 'vitest';
import { effectivePermissions, privilegesOn } from '../../pve/access/permissions.ts';
import { createWorld } from '../../pve/defaults.ts';
import type { Acl, World } from '../../pve/world.ts';

const entry = (path: string, ugid: string, roleid: string, propagate = true): Acl => ({
  path,
  roleid,
  type: ugid.includes('!') ? 'token' : ugid.includes('@') ? 'user' : 'group',
  ugid,
  propagate,
});

const world = (...acl: Acl[]): World => {
  const w = createWorld('pve1', '/nowhere');
  const token = { secret: 's', privsep: true, expire: 0 };
  w.users.set('a@pve', {
    userid: 'a@pve',
    enable: true,
    expire: 0,
    groups: ['ops'],
    extra: {},
    tokens: { sep: token, all: { ...token, privsep: false } },
  });
  w.groups.set('ops', {});
  w.acl = acl;
  return w;
};

const has = (w: World, who: string, path: string, privilege: string): boolean => privilegesOn(w, who, path).has(privilege);

test.each([
  ['propagates down', [entry('/', 'a@pve', 'PVEAuditor')], 'a@pve', '/vms/100', true],
  ['stays where it does not propagate', [entry('/vms', 'a@pve', 'PVEAuditor', false)], 'a@pve', '/vms/100', false],
  ['holds on its own path without propagating', [entry('/vms', 'a@pve', 'PVEAuditor', false)], 'a@pve', '/vms', true],
  [
    'is replaced further down',
    [entry('/', 'a@pve', 'PVEAuditor'), entry('/vms', 'a@pve', 'PVEDatastoreUser')],
    'a@pve',
    '/vms/100',
    false,
  ],
  ['NoAccess wins', [entry('/', 'a@pve', 'PVEAuditor'), entry('/vms/100', 'a@pve', 'NoAccess')], 'a@pve', '/vms/100', false],
  ['comes from a group', [entry('/vms', 'ops', 'PVEAuditor')], 'a@pve', '/vms/100', true],
  [
    "a user's entry goes before the groups'",
    [entry('/vms', 'ops', 'PVEAuditor'), entry('/vms', 'a@pve', 'PVEDatastoreUser')],
    'a@pve',
    '/vms/100',
    false,
  ],
  ['a separated token needs its own', [entry('/', 'a@pve', 'PVEAuditor')], 'a@pve!sep', '/vms/100', false],
  ['a separated token needs its owner too', [entry('/', 'a@pve!sep', 'PVEAuditor')], 'a@pve!sep', '/vms/100', false],
  [
    'both together grant',
    [entry('/', 'a@pve', 'Administrator'), entry('/vms', 'a@pve!sep', 'PVEAuditor')],
    'a@pve!sep',
    '/vms/100',
    true,
  ],
  ['an unseparated token has what its owner has', [entry('/', 'a@pve', 'PVEAuditor')], 'a@pve!all', '/vms/100', true],
  ['a path that none may have', [entry('/', 'a@pve', 'Administrator')], 'a@pve', '/vms/1!', false],
])('VM.Audit: %s', (_what, acl, who, path, granted) => {
  expect(has(world(...acl), who, path, 'VM.Audit')).toBe(granted);
});

test('a pool gives its roles to its members, not below them', () => {
  const w = world(entry('/pool/p', 'a@pve', 'PVEVMUser'));
  w.pools.set('p', { vms: new Set([100]), storages: new Set() });
  expect(privilegesOn(w, 'a@pve', '/vms/100').get('VM.Backup')).toBe(false);
  expect(has(w, 'a@pve', '/vms/101', 'VM.Backup')).toBe(false);
});

test('propagate flags of token and owner are ANDed', () => {
  const w = world(entry('/vms/100', 'a@pve', 'PVEAuditor', false), entry('/vms/100', 'a@pve!sep', 'PVEAuditor'));
  expect(privilegesOn(w, 'a@pve!sep', '/vms/100').get('VM.Audit')).toBe(false);
});

test('paths without privileges are not shown', () => {
  const w = world(entry('/storage/bak', 'a@pve', 'PVEDatastoreUser'));
  expect([...effectivePermissions(w, 'a@pve').keys()]).toEqual(['/storage/bak']);
});
