/** Changing and removing guests: configuration, disks' sizes, templates, destruction. */

import { died } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { typedValue } from '../api/typed.ts';
import { sizeBytes, volumeOf } from '../guest-status.ts';
import { type Area, type Call, flag, owner, param } from '../sim.ts';
import type { ConfigValue, Guest } from '../world.ts';
import { guestOf } from './guests.ts';
import { demandUnlocked } from './power.ts';

type Type = Guest['type'];

const NOT_CONFIG = ['node', 'vmid', 'delete', 'revert', 'digest', 'force', 'skiplock', 'background_delay'];

const apply = (call: Call, type: Type): void => {
  const guest = guestOf(call, type);
  demandUnlocked(guest);
  for (const [key, value] of Object.entries(call.params)) {
    if (NOT_CONFIG.includes(key)) continue;
    guest.config[key] = typedValue('PUT', `/nodes/{node}/${type}/{vmid}/config`, key, value);
  }
  for (const key of splitList(param(call, 'delete'))) delete guest.config[key];
  // `protection: 0` and the like are the default, and are not written.
  if (Number(guest.config.protection ?? 0) === 0) delete guest.config.protection;
  call.sim.saved();
};

const change = (type: Type) => (call: Call) => {
  apply(call, type);
  return null;
};

/** For VMs the POST form does the same in a task. */
const changeInTask = (call: Call): string => {
  guestOf(call, 'qemu');
  return call.sim.tasks.fork({ type: 'qmconfig', id: param(call, 'vmid'), ...owner(call) }, async () => apply(call, 'qemu'));
};

const demandRemovable = (guest: Guest): void => {
  const name = `${guest.type === 'lxc' ? 'CT' : 'VM'} ${guest.vmid}`;
  if (Number(guest.config.protection ?? 0) === 1) throw died(`can't remove ${name} - protection mode enabled`);
  if (guest.status !== 'running') return;
  throw died(
    guest.type === 'lxc'
      ? `unable to destroy CT ${guest.vmid} - container is running`
      : `VM ${guest.vmid} is running - destroy failed`,
  );
};

const remove = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  if (!(flag(call, 'force') && type === 'lxc')) demandRemovable(guest);
  const { vmid } = guest;
  return call.sim.tasks.fork(
    { type: type === 'lxc' ? 'vzdestroy' : 'qmdestroy', id: String(vmid), ...owner(call) },
    async (task) => {
      demandUnlocked(guest);
      if (flag(call, 'purge')) task.log(`purging ${type === 'lxc' ? 'CT' : 'VM'} ${vmid} from related configurations..`);
      for (const storage of call.world.storages.values()) storage.volumes = storage.volumes.filter((v) => v.vmid !== vmid);
      for (const pool of call.world.pools.values()) pool.vms.delete(vmid);
      if (flag(call, 'purge')) call.world.acl = call.world.acl.filter((entry) => entry.path !== `/vms/${vmid}`);
      call.world.guests.delete(vmid);
      call.sim.saved();
    },
  );
};

const GIB = 1024 ** 3;

const sizeText = (bytes: number): string => (bytes % GIB === 0 ? `${bytes / GIB}G` : `${Math.round(bytes / 1024 ** 2)}M`);

const resize = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  const disk = param(call, 'disk');
  const volume = volumeOf(guest.config[disk]);
  if (!volume) throw died(`disk '${disk}' does not exist`);
  const asked = param(call, 'size');
  const bytes = asked.startsWith('+') ? volume.size + sizeBytes(asked.slice(1)) : sizeBytes(asked);
  if (bytes < volume.size) throw died('shrinking disks is not supported');
  return call.sim.tasks.fork({ type: 'resize', id: param(call, 'vmid'), ...owner(call) }, async () => {
    guest.config[disk] = String(guest.config[disk]).replace(/size=[^,]+/, `size=${sizeText(bytes)}`);
    for (const storage of call.world.storages.values())
      for (const v of storage.volumes) if (v.volid === volume.volid) v.size = bytes;
    call.sim.saved();
  });
};

/** A template's disks are base images. */
const asBase = (value: ConfigValue): string => String(value).replace(/(^|\/|:)(?:vm|subvol)-(\d+-disk)/, '$1base-$2');

const makeTemplate = (type: Type) => (call: Call) => {
  const guest = guestOf(call, type);
  if (Number(guest.config.template ?? 0) === 1) throw died(`you can't convert a template to a template`);
  const convert = (): void => {
    if (guest.status === 'running') throw died(`you can't convert a running ${type === 'lxc' ? 'CT' : 'VM'} to template`);
    for (const [key, value] of Object.entries(guest.config)) {
      if (!/^(?:rootfs|mp\d+|(?:scsi|virtio|sata|ide)\d+)$/.test(key)) continue;
      guest.config[key] = asBase(value);
      for (const storage of call.world.storages.values())
        for (const v of storage.volumes) if (v.volid === String(value).split(',')[0]) v.volid = asBase(v.volid);
    }
    guest.config.template = 1;
    call.sim.saved();
  };
  if (type === 'qemu')
    return call.sim.tasks.fork({ type: 'qmtemplate', id: param(call, 'vmid'), ...owner(call) }, async () => convert());
  convert();
  return null;
};

const writes = (type: Type): Area => {
  const at = `/nodes/{node}/${type}/{vmid}`;
  return {
    [`PUT ${at}/config`]: change(type),
    [`DELETE ${at}`]: remove(type),
    [`PUT ${at}/resize`]: resize(type),
    [`POST ${at}/template`]: makeTemplate(type),
  };
};

export const guestWrites: Area = {
  ...writes('lxc'),
  ...writes('qemu'),
  'POST /nodes/{node}/qemu/{vmid}/config': changeInTask,
};
