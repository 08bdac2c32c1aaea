/** The state a recording takes for granted: the node, its first storage, the users and tokens that its requests name. */

import { randomUUID } from 'node:crypto';
import type { World } from '../world.ts';
import type { Knowledge } from './knowledge.ts';

const USERS = ['admin@pve', 'auditor@pve', 'nobody@pve'];

export const baseWorld =
  (knowledge: Knowledge) =>
  (world: World): void => {
    world.bridges = [];
    world.resolvable = ['pve2'];
    world.host = { cgroupMode: 1 };
    const local = world.storages.get('local');
    if (local) local.config = { path: '/var/lib/vz', content: 'iso,vztmpl,backup,rootdir,images,snippets' };
    for (const userid of USERS) world.users.set(userid, { userid, enable: true, expire: 0, groups: [], extra: {}, tokens: {} });
    for (const [name, privsep] of knowledge.tokens) {
      const [userid = '', tokenid = ''] = name.split('!');
      const user = world.users.get(userid);
      if (user) user.tokens[tokenid] = { secret: randomUUID(), privsep, expire: 0 };
    }
    world.acl = [
      { path: '/', roleid: 'Administrator', type: 'user', ugid: 'admin@pve', propagate: true },
      { path: '/', roleid: 'PVEAuditor', type: 'user', ugid: 'auditor@pve', propagate: true },
    ];
  };
