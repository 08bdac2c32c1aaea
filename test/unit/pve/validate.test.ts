/** Parameters against the real schema, with Proxmox's texts. */

import { expect, test } from 'vitest';
import { ApiError } from '../../pve/api/errors.ts';
import { apiSchema } from '../../pve/api/schema.ts';
import { type Params, validate } from '../../pve/api/validate.ts';

const errors = (method: string, path: string, params: Params): Record<string, string> | undefined => {
  const found = apiSchema().find(method, path);
  if (!found) throw new Error(`no ${method} ${path}`);
  try {
    validate(found.method, { ...params, ...found.pathParams });
    return undefined;
  } catch (error) {
    return error instanceof ApiError ? error.errors : { thrown: String(error) };
  }
};

const UNKNOWN = 'property is not defined in schema and the schema does not allow additional properties';

test.each<[string, string, string, Params, Record<string, string> | undefined]>([
  ['a good call', 'POST', '/nodes/pve1/vzdump', { vmid: '101', storage: 'bak', 'prune-backups': 'keep-all=1' }, undefined],
  ['an integer', 'GET', '/nodes/pve1/tasks', { limit: 'abc' }, { limit: "type check ('integer') failed - got 'abc'" }],
  ['a boolean', 'GET', '/nodes/pve1/qemu', { full: 'maybe' }, { full: "type check ('boolean') failed - got 'maybe'" }],
  ['a minimum', 'GET', `/nodes/pve1/tasks/UPID/log`, { limit: '-1' }, { limit: 'value must have a minimum value of 0' }],
  ['an unknown parameter', 'GET', '/version', { foo: 'bar' }, { foo: UNKNOWN }],
  [
    'an enumeration',
    'GET',
    '/cluster/resources',
    { type: 'x' },
    { type: "value 'x' does not have a value in the enumeration 'vm, storage, node, sdn'" },
  ],
  ['a guest id', 'GET', '/nodes/pve1/qemu/5/config', {}, { vmid: 'invalid format - value does not look like a valid VM ID\n' }],
  ['a pattern', 'GET', '/nodes/pve1/disks/smart', { disk: 'sda' }, { disk: 'value does not match the regex pattern' }],
  ['a missing one', 'POST', '/access/ticket', { username: 'a@pve' }, { password: 'property is missing and it is not optional' }],
  [
    'a nested one',
    'POST',
    '/cluster/bulk-action/guest/shutdown',
    { vms: '101,102' },
    { 'vms[0]': "type check ('integer') failed - got '101,102'" },
  ],
  [
    'a property string',
    'POST',
    '/nodes/pve1/vzdump',
    { 'prune-backups': 'keep-foo=1' },
    { 'prune-backups': `invalid format - format error\nkeep-foo: ${UNKNOWN}\n` },
  ],
  [
    'one that requires another',
    'POST',
    '/nodes/pve1/vzdump',
    { vmid: '101', 'notes-template': 'x' },
    { storage: "missing property - 'notes-template' requires this property" },
  ],
  [
    'an indexed one',
    'PUT',
    '/nodes/pve1/qemu/100/config',
    { net0: 'virtio,bridge=vmbr0', cores: 'x' },
    { cores: "type check ('integer') failed - got 'x'" },
  ],
])('%s', (_what, method, path, params, expected) => {
  expect(errors(method, path, params)).toEqual(expected);
});

test('a volume id with slashes is one component of the path', () => {
  const path = '/nodes/pve1/storage/bak/content/bak:backup/vzdump-lxc-101-2026_11_21-22_45_55.tar.zst';
  expect(apiSchema().find('GET', path)?.pathParams.volume).toBe('bak:backup/vzdump-lxc-101-2026_11_21-22_45_55.tar.zst');
});
