/** The world a simulator starts from: one node, root, a local directory storage, no guests. */

import { join } from 'node:path';
import type { World } from './world.ts';

const GIB = 1024 ** 3;

export const createWorld = (node: string, dir: string): World => ({
  node,
  version: { version: '9.2.11', release: '9.2', repoid: '14a22df3' },
  users: new Map([['root@pam', { userid: 'root@pam', enable: true, expire: 0, groups: [], extra: {}, tokens: {} }]]),
  groups: new Map(),
  roles: new Map(),
  acl: [],
  pools: new Map(),
  guests: new Map(),
  storages: new Map([
    [
      'local',
      {
        storage: 'local',
        type: 'dir',
        config: { path: join(dir, 'storage', 'local'), content: 'images,rootdir,vztmpl,iso,backup,snippets' },
        active: true,
        hung: false,
        total: 100 * GIB,
        used: 20 * GIB,
        avail: 80 * GIB,
        archives: [],
        volumes: [],
        snapshots: false,
      },
    ],
  ]),
  backupJobs: new Map(),
  tasks: [],
  pvestatdReported: true,
});
