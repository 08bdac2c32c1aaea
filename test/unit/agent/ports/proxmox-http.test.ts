/** The Proxmox client against a peer that answers byte for byte. */
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { forGuest, type Proxmox, ProxmoxError } from '#agent/ports/proxmox';
import { createProxmox } from '#agent/ports/proxmox-http';
import { makeCertificate } from '../../../pve/certificate.ts';
import { type Answer, clientOf, json, problem, reply, SECRET, startPeer, TOKEN } from './proxmox-peer.ts';

const UPID = 'UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:101:felhom@pve!pve1:';
const VZDUMP = { vmid: 101, storage: 'bak', mode: 'snapshot', compress: 'zstd', notes: 'felhom job 0b5f' } as const;
const CERTIFICATE = makeCertificate('pve1');

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

const connect = async (answer: Answer, options: Parameters<typeof clientOf>[1] = {}) => {
  const peer = await startPeer(answer, CERTIFICATE);
  const proxmox = clientOf(peer, options);
  cleanups.push(() => proxmox.close(), peer.close);
  return { peer, proxmox };
};

/** The error that a call ends with. */
const errorOf = async (call: Promise<unknown>): Promise<ProxmoxError> => {
  const error = await call.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProxmoxError)) throw error;
  return error;
};

describe('the pin', () => {
  test('a server with another certificate gets not one byte', async () => {
    const { peer, proxmox } = await connect(() => json([]), { fingerprints: async () => ['0'.repeat(64)] });
    for (const call of [proxmox.resources(), proxmox.startVzdump(VZDUMP)]) {
      const error = await errorOf(call);
      expect(error).toMatchObject({ status: 0, code: 'proxmox-unreachable' });
      expect(error.message).toContain('not the pinned one');
    }
    expect(peer.attempts()).toBeGreaterThan(0);
    expect([peer.seen, peer.bytesIn.count]).toEqual([[], 0]);
    expect((await errorOf(proxmox.startVzdump(VZDUMP))).effect).toBe('never');
  });

  test('a renewed certificate is found by asking for the fingerprints again, once', async () => {
    let asked = 0;
    const fingerprints = async () => {
      asked += 1;
      return [asked === 1 ? '0'.repeat(64) : CERTIFICATE.fingerprint];
    };
    const { proxmox } = await connect(() => json(UPID), { fingerprints });
    await errorOf(proxmox.guestConfig('lxc', 101));
    await expect(proxmox.startVzdump(VZDUMP)).resolves.toBe(UPID);
    expect(asked).toBe(2);
  });

  test('a certificate renewed while the agent runs costs no call', async () => {
    let known = CERTIFICATE.fingerprint;
    const first = await startPeer(() => json([], 'Connection: close\r\n'), CERTIFICATE);
    const proxmox = clientOf(first, { fingerprints: async () => [known] });
    cleanups.push(() => proxmox.close());
    await proxmox.vzdumpTasks(101, 0);
    const { port } = new URL(first.endpoint);
    await first.close();
    const renewed = makeCertificate('pve1');
    const second = await startPeer(() => json(UPID), renewed, Number(port));
    cleanups.push(second.close);
    known = renewed.fingerprint;
    await expect(proxmox.startVzdump(VZDUMP)).resolves.toBe(UPID);
  });
});

describe('what a failure says about the effect', () => {
  const TIMEOUTS = { timeouts: { connectMs: 4000, postMs: 1500 } };
  test.each<[string, Answer, Partial<ProxmoxError>]>([
    [
      'a parameter error',
      () => problem(400, 'Parameter verification failed.\n', { vmid: 'bad\n' }),
      {
        status: 400,
        effect: 'never',
        message: 'Parameter verification failed.',
        errors: { vmid: 'bad' },
        code: 'proxmox-failed',
      },
    ],
    [
      'no right',
      () => problem(403, 'Permission check failed (/storage/bak, Datastore.AllocateSpace)\n'),
      { status: 403, effect: 'never', code: 'proxmox-permission' },
    ],
    [
      'a bad token',
      () => reply(401, 'Authentication failed!', '', 'Connection: close\r\n'),
      { status: 401, effect: 'never', message: 'Authentication failed!', code: 'proxmox-permission' },
    ],
    [
      'an error of the call',
      () => problem(500, 'CT 101 is locked\n'),
      { status: 500, effect: 'never', message: 'CT 101 is locked' },
    ],
    [
      'an older server without message',
      () => reply(500, 'CT 101 is locked', '{"data":null}'),
      { status: 500, effect: 'never', message: 'CT 101 is locked' },
    ],
    ['an unknown path', () => problem(501, "Method 'POST /x' not implemented"), { status: 501, effect: 'never' }],
    [
      'a daemon out of reach',
      () => reply(595, 'Connection refused'),
      { status: 595, effect: 'never', code: 'proxmox-unreachable' },
    ],
    [
      'a daemon that is silent',
      () => reply(596, 'Connection timed out'),
      { status: 596, effect: 'unknown', code: 'proxmox-unreachable' },
    ],
    ['a 500 without JSON', () => reply(500, 'broken pipe'), { status: 500, effect: 'unknown' }],
    ['a reset', () => 'reset', { status: 0, effect: 'unknown', code: 'proxmox-unreachable' }],
    ['silence', () => 'hang', { status: 0, effect: 'unknown', message: 'Proxmox did not answer in time.' }],
    ['a page instead of JSON', () => reply(200, 'OK', '<html>'), { status: 200, effect: 'unknown' }],
    ['a cut answer', () => 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data', { status: 0, effect: 'unknown' }],
    ['no task id', () => json(null), { status: 200, effect: 'unknown' }],
    ['a guest of another node', () => json('OK'), { status: 200, effect: 'never', message: 'guest not on this node' }],
  ])('%s', async (_what, answer, expected) => {
    const { peer, proxmox } = await connect(answer, TIMEOUTS);
    const error = await errorOf(proxmox.startVzdump(VZDUMP));
    expect(error).toMatchObject({ method: 'POST', path: '/nodes/pve1/vzdump', ...expected });
    // Never a second one, whatever happened.
    expect(peer.seen).toHaveLength(1);
  });

  test('connection refused: nothing was sent', async () => {
    const { peer, proxmox } = await connect(() => json([]), TIMEOUTS);
    await peer.close();
    expect(await errorOf(proxmox.startVzdump(VZDUMP))).toMatchObject({ status: 0, effect: 'never' });
  });

  test('a 401 that comes after three seconds is a 401', async () => {
    const { proxmox } = await connect(() => ({ afterMs: 3000, reply: reply(401, 'Authentication failed!') }));
    expect(await errorOf(proxmox.resources())).toMatchObject({ status: 401, code: 'proxmox-permission' });
  });

  test('guests see a sentence, the log the cause; the secret is in neither', async () => {
    const { proxmox } = await connect(({ head }) => problem(500, `echo ${/PVEAPIToken=\S+/.exec(head)?.[0]}`));
    const error = await errorOf(proxmox.startVzdump(VZDUMP));
    const shown = forGuest(error);
    expect(shown).toMatchObject({ code: 'proxmox-failed', message: 'Proxmox on this host answered with an error.' });
    const { inspect } = await import('node:util');
    expect(inspect(shown, { depth: 9 })).not.toContain(SECRET);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
    expect(() =>
      createProxmox({
        endpoint: 'https://x',
        node: 'n',
        clock: systemClock,
        fingerprints: async () => [],
        token: `no!${SECRET}`,
      }),
    ).toThrow(expect.not.objectContaining({ message: expect.stringContaining(SECRET) }));
  });
});

describe('requests', () => {
  test('a POST goes over a connection of its own, with a form and a length', async () => {
    const { peer, proxmox } = await connect(({ method }) => json(method === 'POST' ? UPID : []));
    await proxmox.vzdumpTasks(101, 7);
    await proxmox.startVzdump({ ...VZDUMP, notes: 'felhom job 0b5f {{guestname}}\\ \n second' });
    await proxmox.vzdumpTasks(101, 7);
    const [before, post, after] = peer.seen;
    expect(post?.connection).not.toBe(before?.connection);
    expect(after?.connection).toBe(before?.connection);
    expect(post?.head).toContain(`PVEAPIToken=${TOKEN}`);
    expect(post?.head).toMatch(/connection: close/i);
    expect(post?.head).toMatch(/content-length: \d+/i);
    expect(Object.fromEntries(new URLSearchParams(post?.body))).toEqual({
      vmid: '101',
      storage: 'bak',
      mode: 'snapshot',
      compress: 'zstd',
      lockwait: '0',
      'prune-backups': 'keep-all=1',
      'notes-template': 'felhom job 0b5f { {guestname}}\\\\ \\n second',
    });
    expect(before?.path).toBe('/api2/json/nodes/pve1/tasks?source=all&typefilter=vzdump&vmid=101&since=7&limit=500');
  });

  test.each<[string, Answer]>([
    ['a reset', (_, count) => (count < 3 ? 'reset' : json([]))],
    ['595', (_, count) => (count < 3 ? reply(595, 'Connection refused') : json([]))],
    ['596', (_, count) => (count < 3 ? reply(596, 'Connection timed out') : json([]))],
    ['a 500 without JSON', (_, count) => (count < 2 ? reply(500, 'oops') : json([]))],
    ['silence', (_, count) => (count < 2 ? 'hang' : json([]))],
  ])('a GET survives %s', async (_what, answer) => {
    const { proxmox } = await connect(answer, { timeouts: { getMs: 1500 } });
    await expect(proxmox.vzdumpTasks(101, 0)).resolves.toEqual([]);
  });

  test('a GET survives silence when less is left than a whole try', async () => {
    const { proxmox } = await connect((_, count) => (count < 2 ? 'hang' : json([])), {
      timeouts: { getMs: 1500, getTotalMs: 2800 },
    });
    await expect(proxmox.vzdumpTasks(101, 0)).resolves.toEqual([]);
  });

  test('a GET is tried three times, a refusal once', async () => {
    const away = await connect(() => 'reset');
    await errorOf(away.proxmox.resources());
    expect(away.peer.seen).toHaveLength(3);
    const refused = await connect(() => problem(403, 'Permission check failed\n'));
    await errorOf(refused.proxmox.resources());
    expect(refused.peer.seen).toHaveLength(1);
  });

  test('the tries of a GET end at its total deadline', async () => {
    const { proxmox } = await connect(() => 'hang', { timeouts: { getMs: 500, getTotalMs: 900 } });
    const started = performance.now();
    await errorOf(proxmox.resources());
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test('more than 8 MiB is not read', async () => {
    const { proxmox } = await connect(() => json('x'.repeat(9 * 1024 * 1024)));
    expect(await errorOf(proxmox.guestConfig('lxc', 101))).toMatchObject({ status: 0 });
  });
});

describe('answers', () => {
  const ask = async <T>(data: unknown, call: (proxmox: Proxmox) => Promise<T>): Promise<T> => {
    const { proxmox } = await connect(() => json(data));
    return call(proxmox);
  };

  test('guests and storages, whether numbers come as text or not', async () => {
    const rows = [
      { type: 'lxc', vmid: '101', node: 'pve1', name: 'ct101', status: 'running', lock: 'backup', disk: '7', maxdisk: 9 },
      { type: 'lxc', vmid: 102, node: 'pve1', name: 'ct102', status: 'stopped', disk: 0, maxdisk: 9 },
      { type: 'qemu', vmid: 103, node: 'pve1', name: 'vm103', status: 'running', disk: 0, maxdisk: '9' },
      { type: 'qemu', vmid: 104, node: 'pve2', status: 'unknown', id: 'qemu/104' },
      { type: 'node', node: 'pve1', status: 'online' },
      {
        type: 'storage',
        storage: 'bak',
        node: 'pve1',
        plugintype: 'dir',
        status: 'available',
        maxdisk: '10',
        disk: 4,
        content: 'backup,iso',
        shared: 0,
      },
      { type: 'storage', storage: 'nfs', node: 'pve1', plugintype: 'nfs', status: 'unknown', content: 'backup', shared: 1 },
    ];
    expect(await ask(rows, (proxmox) => proxmox.resources())).toEqual({
      guests: [
        { vmid: 101, type: 'lxc', node: 'pve1', name: 'ct101', status: 'running', lock: 'backup', usedBytes: 7, diskBytes: 9 },
        { vmid: 102, type: 'lxc', node: 'pve1', name: 'ct102', status: 'stopped', lock: '', usedBytes: null, diskBytes: 9 },
        { vmid: 103, type: 'qemu', node: 'pve1', name: 'vm103', status: 'running', lock: '', usedBytes: null, diskBytes: 9 },
        { vmid: 104, type: 'qemu', node: 'pve2', name: '', status: 'unknown', lock: '', usedBytes: null, diskBytes: null },
      ],
      storages: [
        {
          storage: 'bak',
          node: 'pve1',
          type: 'dir',
          status: 'available',
          maxdisk: 10,
          disk: 4,
          content: 'backup,iso',
          shared: false,
        },
        {
          storage: 'nfs',
          node: 'pve1',
          type: 'nfs',
          status: 'unknown',
          maxdisk: null,
          disk: null,
          content: 'backup',
          shared: true,
        },
      ],
    });
  });

  test('storage configurations', async () => {
    const row = {
      storage: 'thin',
      type: 'lvmthin',
      content: 'images',
      vgname: 'pve',
      thinpool: 'data',
      disable: 1,
      nodes: 'pve1,pve2',
      digest: 'x',
    };
    expect(await ask([row], (proxmox) => proxmox.storageConfigs())).toEqual([
      {
        storage: 'thin',
        type: 'lvmthin',
        content: 'images',
        path: '',
        disabled: true,
        nodes: ['pve1', 'pve2'],
        keys: { vgname: 'pve', thinpool: 'data' },
      },
    ]);
  });

  test("a container's configuration as text", async () => {
    const config = {
      memory: 256,
      rootfs: 'local:101',
      lxc: [
        ['lxc.mount.entry', '/a b none bind'],
        ['lxc.apparmor.profile', 'x'],
      ],
    };
    expect(await ask(config, (proxmox) => proxmox.guestConfig('lxc', 101))).toEqual({
      memory: '256',
      rootfs: 'local:101',
      lxc: 'lxc.mount.entry = /a b none bind\nlxc.apparmor.profile = x',
    });
  });

  test.each([
    [
      { status: 'running', pid: 7 },
      { upid: UPID, running: true },
    ],
    [
      { status: 'stopped', exitstatus: 'WARNINGS: 2' },
      { upid: UPID, running: false, exitstatus: 'WARNINGS: 2' },
    ],
    [{ status: 'stopped' }, { upid: UPID, running: false, exitstatus: 'unexpected status' }],
  ])('task status %j', async (data, expected) => {
    expect(await ask(data, (proxmox) => proxmox.taskStatus(UPID))).toEqual(expected);
  });

  test('a task that is not there is null, and its id is encoded in the path', async () => {
    const { peer, proxmox } = await connect(() => problem(400, 'Parameter verification failed.\n', { upid: 'no such task' }));
    expect(await proxmox.taskStatus(UPID)).toBeNull();
    expect(peer.seen[0]?.path).toBe(`/api2/json/nodes/pve1/tasks/${encodeURIComponent(UPID)}/status`);
  });

  test.each<[unknown[], number, string[]]>([
    [[{ n: 1, t: 'no content' }], 0, []],
    [[{ n: 1, t: 'unable to open file - No such file or directory' }], 0, []],
    [[{ n: 1, t: 'unable to open file - No such file or directory' }], 4, []],
    [
      [
        { n: '3', t: 'INFO: a' },
        { n: 4, t: 'INFO: b' },
      ],
      2,
      ['INFO: a', 'INFO: b'],
    ],
  ])('log rows %j from %d', async (rows, start, lines) => {
    expect(await ask(rows, (proxmox) => proxmox.taskLog(UPID, start))).toEqual(lines);
  });

  test('tasks, running or ended, are named by their id', async () => {
    const rows = [{ upid: UPID, user: 'felhom@pve', tokenid: 'pve1', status: 'RUNNING' }, { upid: 'garbage' }];
    expect(await ask(rows, (proxmox) => proxmox.vzdumpTasks(101, 0))).toEqual([
      { upid: UPID, type: 'vzdump', id: '101', user: 'felhom@pve!pve1', starttime: 0x6b021f23 },
    ]);
  });

  test('archives, also of a Proxmox Backup Server', async () => {
    const rows = [
      {
        volid: 'bak:backup/a.tar.zst',
        vmid: '101',
        size: '4083227',
        ctime: 1795301155,
        notes: 'felhom job 1\n',
        format: 'tar.zst',
        protected: '1',
        parent: null,
      },
      { volid: 'pbs:backup/ct/101/x', format: 'pbs-ct', verification: { state: 'failed', upid: 'UPID:pbs' } },
      { volid: 'x' },
    ];
    const nothing = { vmid: null, sizeBytes: 0, ctime: 0, notes: '', protected: false, format: '', verification: null };
    expect(await ask(rows, (proxmox) => proxmox.backupVolumes('bak', 101))).toEqual([
      {
        volid: 'bak:backup/a.tar.zst',
        vmid: 101,
        sizeBytes: 4083227,
        ctime: 1795301155,
        notes: 'felhom job 1\n',
        protected: true,
        format: 'tar.zst',
        verification: null,
      },
      { ...nothing, volid: 'pbs:backup/ct/101/x', format: 'pbs-ct', verification: 'failed' },
      { ...nothing, volid: 'x' },
    ]);
  });
});

describe('changes of volumes and tasks', () => {
  const VOLID = 'bak:backup/vzdump-lxc-101-2026_11_21-22_45_55.tar.zst';
  const DELETION = UPID.replace('vzdump:101', 'imgdel:101@bak');
  const pathOf = (volid: string) => `/api2/json/nodes/pve1/storage/bak/content/${encodeURIComponent(volid)}`;

  test('each goes out once, on a connection of its own, and a DELETE has no body', async () => {
    const { peer, proxmox } = await connect(({ method }) => json(method === 'GET' ? [] : null));
    await proxmox.vzdumpTasks(101, 0);
    await proxmox.protectVolume('bak', VOLID, true);
    await proxmox.protectVolume('bak', VOLID, false);
    await proxmox.deleteVolume('bak', VOLID);
    await proxmox.stopTask(UPID);
    expect(peer.seen.slice(1).map(({ method, path, body }) => [method, path, body])).toEqual([
      ['PUT', pathOf(VOLID), 'protected=1'],
      ['PUT', pathOf(VOLID), 'protected=0'],
      ['DELETE', `${pathOf(VOLID)}?delay=5`, ''],
      ['DELETE', `/api2/json/nodes/pve1/tasks/${encodeURIComponent(UPID)}`, ''],
    ]);
    expect(new Set(peer.seen.map(({ connection }) => connection)).size).toBe(5);
    for (const { head } of peer.seen.slice(1)) expect(head).toMatch(/connection: close/i);
  });

  test.each<[string, unknown, Partial<ProxmoxError> | null]>([
    ['went well', { status: 'stopped', exitstatus: 'OK' }, null],
    ['had warnings', { status: 'stopped', exitstatus: 'WARNINGS: 1' }, null],
    ['failed', { status: 'stopped', exitstatus: "cannot remove protected volume 'x'" }, { effect: 'never' }],
  ])('a deletion that takes long and %s is followed to its end', async (_what, last, expected) => {
    let looks = 0;
    const { peer, proxmox } = await connect(({ method }) => {
      if (method === 'DELETE') return json(DELETION);
      looks += 1;
      return json(looks < 2 ? { status: 'running' } : last);
    });
    const call = proxmox.deleteVolume('bak', VOLID);
    if (expected === null) await call;
    else expect(await errorOf(call)).toMatchObject(expected);
    expect(peer.seen.map(({ method }) => method)).toEqual(['DELETE', 'GET', 'GET']);
  });

  test.each<[string, unknown[], boolean]>([
    ['gone', [{ volid: 'bak:backup/other' }], true],
    ['still there', [{ volid: VOLID }, { volid: 'bak:backup/other' }], false],
  ])('a deletion whose worker was killed: the volume is %s', async (_what, rows, resolved) => {
    const { peer, proxmox } = await connect(({ method, path }) => {
      if (method === 'DELETE') return json(DELETION);
      return json(path.includes('/tasks/') ? { status: 'stopped', exitstatus: 'unexpected status' } : rows);
    });
    const ended = await proxmox.deleteVolume('bak', VOLID).then(
      () => true,
      () => false,
    );
    expect(ended).toBe(resolved);
    expect(peer.seen.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  test('an empty list proves a deletion only to a token that may see the volumes', async () => {
    const answers =
      (granted: unknown): Answer =>
      ({ method, path }) => {
        if (method === 'DELETE') return 'reset';
        return json(path.includes('/access/permissions') ? granted : []);
      };
    const blind = await connect(answers({}));
    expect(await errorOf(blind.proxmox.deleteVolume('bak', VOLID))).toMatchObject({ code: 'proxmox-permission' });
    const seeing = await connect(answers({ '/storage/bak': { 'Datastore.Allocate': 1 } }));
    await seeing.proxmox.deleteVolume('bak', VOLID);
  });

  test.each([
    ['has ended', { status: 'stopped', exitstatus: 'interrupted by signal' }, true],
    ['runs on', { status: 'running' }, false],
  ])('a stop without an answer, and the task %s', async (_what, status, resolved) => {
    const { peer, proxmox } = await connect(({ method }) => (method === 'DELETE' ? reply(596, 'timeout') : json(status)));
    const ended = await proxmox.stopTask(UPID).then(
      () => true,
      () => false,
    );
    expect([ended, peer.seen.filter(({ method }) => method === 'DELETE').length]).toEqual([resolved, 1]);
  });
});

describe('running backups', () => {
  const task = (start: string, user = 'root@pam', type = 'vzdump') => `UPID:pve1:000002DE:0002AD06:${start}:${type}:101:${user}:`;
  const [HERE, THERE] = [task('6B021F20'), task('6B021F21').replace('pve1', 'pve2')];

  test('of both lists, each once, and of these only what runs', async () => {
    const { proxmox } = await connect(({ path }) =>
      path.includes('/cluster/tasks')
        ? json([
            { upid: HERE, pid: 734 },
            { upid: THERE, pid: 12 },
            { upid: task('6B021F22'), endtime: 1795301156, status: 'OK' },
            { upid: task('6B021F23', 'root@pam', 'qmstart'), pid: 9 },
          ])
        : json([
            { upid: HERE, status: 'RUNNING' },
            // Ended, and not yet in the archive.
            { upid: task('6B021F24'), endtime: 1795301156, status: 'job errors' },
          ]),
    );
    expect((await proxmox.runningVzdump()).map(({ upid }) => upid)).toEqual([HERE, THERE]);
  });

  test('our own alone prove nothing: the right is looked up', async () => {
    const own = task('6B021F20', 'felhom@pve!pve1');
    const answers =
      (granted: unknown): Answer =>
      ({ path }) => {
        if (path.includes('/access/permissions')) return json(granted);
        return json(path.includes('/cluster/tasks') ? [] : [{ upid: own, status: 'RUNNING' }]);
      };
    const blind = await connect(answers({}));
    expect((await errorOf(blind.proxmox.runningVzdump())).message).toContain('Sys.Audit on /');
    expect((await errorOf(blind.proxmox.guestTasks(101, 0))).message).toContain('Sys.Audit on /nodes/pve1');
    const seeing = await connect(answers({ '/': { 'Sys.Audit': 1 }, '/nodes/pve1': { 'Sys.Audit': 1 } }));
    expect(await seeing.proxmox.runningVzdump()).toHaveLength(1);
    expect(await seeing.proxmox.guestTasks(101, 0)).toHaveLength(1);
  });
});

test('a schedule is asked for once, with its start', async () => {
  const { peer, proxmox } = await connect(() => json([{ timestamp: 1795301156, utc: 'x' }, { timestamp: '1795387556' }]));
  expect(await proxmox.analyzeSchedule('mon..fri 4:15', 1795301155)).toEqual([1795301156, 1795387556]);
  const asked = new URL(peer.seen[0]?.path ?? '', 'https://x').searchParams;
  expect(Object.fromEntries(asked)).toEqual({ schedule: 'mon..fri 4:15', starttime: '1795301155', iterations: '100' });
});

test.each<[unknown, string | null]>([
  [{ timezone: 'Europe/Budapest' }, 'Europe/Budapest'],
  [{ time: 1 }, null],
])('the time zone of %j', async (data, zone) => {
  const { proxmox } = await connect(() => json(data));
  if (zone === null) expect(await errorOf(proxmox.timezone())).toMatchObject({ code: 'proxmox-failed' });
  else expect(await proxmox.timezone()).toBe(zone);
});

describe('an empty list', () => {
  /** Everything is empty; `granted` are the privileges by path. */
  const withRights = (granted: Record<string, string[]>) =>
    connect(({ path }) => {
      const asked = new URL(path, 'https://x').searchParams.get('path');
      if (!path.includes('/access/permissions') || asked === null) return json([]);
      return json(granted[asked] ? { [asked]: Object.fromEntries(granted[asked].map((name) => [name, 0])) } : {});
    });

  test.each<[string, (proxmox: Proxmox) => Promise<unknown>, Record<string, string[]>, string]>([
    ['guests', (proxmox) => proxmox.resources(), { '/storage': ['Datastore.Audit'] }, 'VM.Audit on /vms'],
    ['storages', (proxmox) => proxmox.resources(), { '/vms': ['VM.Audit'] }, 'Datastore.Audit on /storage'],
    ['storage configurations', (proxmox) => proxmox.storageConfigs(), {}, 'Datastore.Audit on /storage'],
    [
      'archives',
      (proxmox) => proxmox.backupVolumes('bak', 101),
      { '/storage/bak': ['Datastore.Audit'] },
      'Datastore.AllocateSpace on /storage/bak',
    ],
    [
      'archives of the guest',
      (proxmox) => proxmox.backupVolumes('bak', 101),
      { '/storage/bak': ['Datastore.AllocateSpace'] },
      'VM.Backup on /vms/101',
    ],
  ])('of %s without the right names path and privilege', async (_what, call, granted, named) => {
    const { proxmox } = await withRights(granted);
    const error = await errorOf(call(proxmox));
    expect(error.code).toBe('proxmox-permission');
    expect(error.message).toContain(named);
    expect(forGuest(error)).toMatchObject({ code: 'proxmox-permission' });
  });

  test('with the right is empty', async () => {
    const { proxmox } = await withRights({
      '/vms': ['VM.Audit'],
      '/vms/101': ['VM.Backup'],
      '/storage': ['Datastore.Audit'],
      '/storage/bak': ['Datastore.AllocateSpace'],
    });
    expect(await proxmox.resources()).toEqual({ guests: [], storages: [] });
    expect(await proxmox.storageConfigs()).toEqual([]);
    expect(await proxmox.backupVolumes('bak', 101)).toEqual([]);
  });
});
