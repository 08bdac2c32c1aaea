/** Taking a storage out of use: by the API, by pvesh where the token may not, and otherwise the command for root. */
import { expect, test } from 'vitest';
import { CommandError } from '#agent/ports/command';
import { ProxmoxError } from '#agent/ports/proxmox';
import { createStorageSwitch } from '#agent/ports/storage-switch';

const forbidden = () =>
  new ProxmoxError({ method: 'PUT', path: '/storage/usb', status: 403, message: 'Permission check failed', effect: 'never' });

interface HostSpec {
  /** What the API does; `silent`: says yes and does nothing. */
  api: 'works' | 'refuses' | 'silent';
  pvesh: 'works' | 'fails';
  isHost?: boolean;
}

const host = ({ api, pvesh, isHost = true }: HostSpec) => {
  const state = { disabled: false, enabled: true };
  const calls: string[][] = [];
  const viaApi = async (act: () => void): Promise<void> => {
    if (api === 'refuses') throw forbidden();
    if (api === 'works') act();
  };
  const storageSwitch = createStorageSwitch({
    isHost,
    proxmox: {
      enableStorage: (_id, on) => viaApi(() => Object.assign(state, { disabled: !on })),
      enableBackupJob: (_id, on) => viaApi(() => Object.assign(state, { enabled: on })),
      storageConfigs: async () => [
        { storage: 'usb', type: 'dir', content: 'backup', path: '/mnt/usb', disabled: state.disabled, nodes: [], keys: {} },
      ],
      backupJobs: async () => [{ id: 'nightly', enabled: state.enabled, storage: 'usb', dumpDir: '' }],
    },
    run: async (program, args) => {
      calls.push([program, ...args]);
      if (pvesh === 'fails') throw new CommandError('/usr/bin/pvesh', 'start', 'ENOENT');
      if (args[1] === '/storage/usb') state.disabled = args.includes('--disable');
      else state.enabled = args.at(-1) === '1';
      return '';
    },
  });
  return { storageSwitch, state, calls };
};

test('the API does it, and nothing else is asked', async () => {
  const { storageSwitch, state, calls } = host({ api: 'works', pvesh: 'works' });
  await storageSwitch.storage('usb', false);
  await storageSwitch.backupJob('nightly', false);
  expect(state).toEqual({ disabled: true, enabled: false });
  await storageSwitch.storage('usb', true);
  await storageSwitch.backupJob('nightly', true);
  expect(state).toEqual({ disabled: false, enabled: true });
  expect(calls).toEqual([]);
});

test('a token without the right is helped by pvesh', async () => {
  const { storageSwitch, state, calls } = host({ api: 'refuses', pvesh: 'works' });
  await storageSwitch.storage('usb', false);
  await storageSwitch.backupJob('nightly', false);
  expect(state).toEqual({ disabled: true, enabled: false });
  await storageSwitch.storage('usb', true);
  await storageSwitch.backupJob('nightly', true);
  expect(state).toEqual({ disabled: false, enabled: true });
  expect(calls).toEqual([
    ['pvesh', 'set', '/storage/usb', '--disable', '1'],
    ['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '0'],
    ['pvesh', 'set', '/storage/usb', '--delete', 'disable'],
    ['pvesh', 'set', '/cluster/backup/nightly', '--enabled', '1'],
  ]);
});

test.each<[string, HostSpec]>([
  ['neither works', { api: 'refuses', pvesh: 'fails' }],
  ['the API says yes and nothing happens', { api: 'silent', pvesh: 'works' }],
  ['it is no host of its own, and pvesh would change this machine', { api: 'refuses', pvesh: 'works', isHost: false }],
])('where %s, the command for root is told', async (_why, spec) => {
  const { storageSwitch, calls } = host(spec);
  await expect(storageSwitch.storage('usb', false)).rejects.toMatchObject({
    code: 'proxmox-failed',
    message: expect.stringContaining('pvesm set usb --disable 1'),
  });
  await expect(storageSwitch.backupJob('nightly', false)).rejects.toMatchObject({
    message: expect.stringContaining('pvesh set /cluster/backup/nightly --enabled 0'),
  });
  if (spec.isHost === false) expect(calls).toEqual([]);
});
