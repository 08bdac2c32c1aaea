/** The whole agent, its admin socket and its command line, beside a Proxmox that knows two guests. */
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, request, type Server } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { agentProgram } from '#agent/cli/program';
import { type AgentConfig, parseConfig } from '#agent/config';
import { makeLeaf } from '#agent/ports/certificate';
import { type RunningAgent, startAgent } from '#agent/serve';
import { Bootstrap } from '#shared/bootstrap';

/** Only what enrolling asks of it. */
let proxmox: Server;
let directory: string;
const running: RunningAgent[] = [];
const ROOT = new URL('../../', import.meta.url).pathname;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'felhom-agent-'));
  const { key, certificate } = await makeLeaf('pve1', ['127.0.0.1']);
  const row = (vmid: number, node: string) => ({ type: 'lxc', vmid, node, status: 'running', id: `lxc/${vmid}`, name: 'ct' });
  const storage = { type: 'storage', storage: 'local', node: 'pve1', status: 'available', content: 'backup', plugintype: 'dir' };
  proxmox = createServer({ key, cert: certificate }, (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ data: [row(101, 'pve1'), row(102, 'pve1'), row(201, 'pve2'), storage] }));
  });
  await new Promise<void>((resolve) => proxmox.listen(0, '127.0.0.1', resolve));
  mkdirSync(join(directory, 'pve/nodes/pve1'), { recursive: true });
  symlinkSync('nodes/pve1', join(directory, 'pve/local'));
  writeFileSync(join(directory, 'pve/nodes/pve1/pve-ssl.pem'), certificate);
  writeFileSync(join(directory, 'token'), 'felhom@pve!pve1=12345678-1234-1234-1234-123456789012\n', { mode: 0o600 });
});
afterAll(() => {
  proxmox.close();
  proxmox.closeAllConnections();
  rmSync(directory, { recursive: true });
});

/** The state stays from test to test but for the guests: making a key takes its time. */
let configFile: string;
let config: AgentConfig;
const writeConfig = (port: number, more = ''): void => {
  configFile = join(directory, 'agent.yaml');
  writeFileSync(
    configFile,
    `listen: [{address: 127.0.0.1, port: ${port}}]
state_dir: ${directory}/state
runtime_dir: ${directory}/run
proxmox:
  endpoint: https://127.0.0.1:${(proxmox.address() as AddressInfo).port}
  token_file: ${directory}/token
  config_dir: ${directory}/pve
  task_log_dir: ${directory}
opsign: {authorized_keys: ${directory}/opsign.keys}
${more}`,
  );
  const parsed = parseConfig(readText(configFile));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  config = parsed.config;
};
const readText = (path: string): string => readFileSync(path, 'utf8');

beforeEach(() => {
  chmodSync(join(directory, 'token'), 0o600);
  for (const file of ['state/felhom.db', 'grants.json']) rmSync(join(directory, file), { force: true });
  writeConfig(8443);
  config.listen = [{ address: '127.0.0.1', port: 0 }];
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((agent) => agent.close()));
});

const lines: string[] = [];
const start = async (): Promise<RunningAgent> => {
  lines.length = 0;
  const agent = await startAgent(config, {
    journal: (level, sentence, fields) => void lines.push(`${level} ${sentence} ${JSON.stringify(fields)}`),
  });
  running.push(agent);
  return agent;
};

interface Ran {
  status: number | null;
  out: string;
  err: string;
}

/** The command line, as main.ts runs it. */
const felhom = async (...args: string[]): Promise<Ran> => {
  const ran: Ran = { status: 0, out: '', err: '' };
  const io = {
    out: (line: string) => {
      ran.out += `${line}\n`;
    },
    err: (line: string) => {
      ran.err += `${line}\n`;
    },
    exit: (status: number) => {
      ran.status = status;
    },
  };
  try {
    await agentProgram(io).parseAsync(args, { from: 'user' });
  } catch (error) {
    io.err(String(error));
    io.exit(1);
  }
  return ran;
};

/** In a process of its own. */
const felhomProcess = (...args: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=source', join(ROOT, 'agent/main.ts'), ...args], {
      cwd: ROOT,
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.on('close', (status) => resolve({ status, out, err }));
  });

// biome-ignore lint/suspicious/noExplicitAny: what came over the wire
const identity = (port: number, token: string): Promise<any> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request({ host: '127.0.0.1', port, path: '/identity', rejectUnauthorized: false, agent: false, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, ...JSON.parse(text) }));
    })
      .on('error', reject)
      .end();
  });

test('a container is given the line by which its drives show at enrolment, and loses it at removal; root shares with a machine', async () => {
  const folder = join(directory, 'pve/nodes/pve1/lxc');
  const file = join(folder, '101.conf');
  const before = '#caf\u00e9\narch: amd64\nunprivileged: 1\n\n[before]\narch: amd64\n';
  mkdirSync(folder);
  writeFileSync(join(directory, 'pve/.version'), '{"version":1}');
  writeFileSync(file, before);
  await start();
  const enrolled = await felhom('guest', 'enroll', '101', '--print', '--config', configFile);
  expect([enrolled.status, enrolled.err]).toEqual([0, expect.not.stringContaining('rives')]);
  const line = 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave,create=dir,optional 0 0\n';
  expect(readText(file)).toBe(before.replace('\n\n[before]', `\n${line}\n[before]`));

  // What is enrolled without a configuration that can be changed is enrolled all the same.
  const other = await felhom('guest', 'enroll', '102', '--print', '--config', configFile);
  expect([other.status, other.err]).toEqual([
    0,
    expect.stringContaining('Drives do not show in guest 102 yet. Guest 102 is not on this server.'),
  ]);
  const stranger = await felhom('guest', 'share', '103', '--config', configFile);
  expect([stranger.status, stranger.err]).toEqual([1, expect.stringContaining('not enrolled')]);

  expect((await felhom('guest', 'remove', '101', '--config', configFile)).status).toBe(0);
  expect(readText(file)).toBe(before);
  rmSync(folder, { recursive: true });
  rmSync(join(directory, 'pve/.version'));
});

test('the command line enrols, lists, rotates, revokes and removes by the running agent', async () => {
  const agent = await start();
  const port = agent.listen[0]?.port ?? 0;

  const enrolled = await felhom('guest', 'enroll', '101', '--print', '--config', configFile);
  expect([enrolled.status, enrolled.err]).toEqual([0, expect.stringContaining('only this once')]);
  const bootstrap = JSON.parse(enrolled.out);
  expect(Value.Check(Bootstrap, bootstrap)).toBe(true);
  expect(bootstrap).toMatchObject({ vmid: 101, endpoints: [{ address: '127.0.0.1', port, fingerprints: [agent.fingerprint] }] });
  expect(await identity(port, bootstrap.token)).toMatchObject({
    status: 200,
    data: {
      vmid: 101,
      node: 'pve1',
      host_scope: agent.hostId,
      fingerprints: { now: agent.fingerprint, next: null },
      scopes: expect.any(Array),
    },
  });

  const [listed, json, twice, elsewhere, nobody, bare] = await Promise.all([
    felhom('guest', 'list', '--config', configFile),
    felhom('guest', 'list', '--json', '--config', configFile),
    felhom('guest', 'enroll', '101', '--print', '--config', configFile),
    felhom('guest', 'enroll', '201', '--print', '--config', configFile),
    felhom('guest', 'enroll', '999', '--print', '--config', configFile),
    felhom('guest', 'enroll', '102', '--config', configFile),
  ]);
  expect(listed.out).toMatch(/VMID +STATE.*\n101 +active/);
  expect(JSON.parse(json.out)).toMatchObject({ guests: [{ vmid: 101, state: 'active', last_seen_at: expect.any(String) }] });
  expect([twice.status, twice.out, twice.err]).toEqual([1, '', expect.stringContaining('enrolled already')]);
  expect(elsewhere.err).toContain('on node pve2');
  expect(nobody.err).toContain('no guest 999');
  expect(bare.err).toContain('Nothing was done');

  const rotated = await felhom('guest', 'rotate', '101', '--print', '--overlap', '0s', '--config', configFile);
  const newer = JSON.parse(rotated.out).token;
  expect((await identity(port, bootstrap.token)).code).toBe('token-superseded');
  expect((await identity(port, newer)).status).toBe(200);
  expect((await felhom('guest', 'revoke', '101', '--config', configFile)).status).toBe(0);
  expect((await identity(port, newer)).code).toBe('token-revoked');
  expect((await felhom('guest', 'remove', '101', '--config', configFile)).status).toBe(0);
  const gone = await felhom('guest', 'remove', '101', '--config', configFile);
  expect([gone.status, gone.err]).toEqual([1, expect.stringContaining('not enrolled')]);
  for (const secret of [bootstrap.token, newer]) expect(lines.join('\n')).not.toContain(secret.slice(8));
}, 60_000);

test('the admin socket is for root only, is taken over when stale, and never from a running agent', async () => {
  const agent = await start();
  expect(agent.adminSocket).toBe(`${directory}/run/admin.sock`);
  expect(statSync(agent.adminSocket).mode & 0o777).toBe(0o600);
  expect(statSync(`${directory}/run`).mode & 0o777).toBe(0o700);
  await expect(start()).rejects.toThrow(/running already/);
  expect(lstatSync(agent.adminSocket).isSocket()).toBe(true);
  await agent.close();
  expect(existsSync(agent.adminSocket)).toBe(false);

  const stale = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(agent.adminSocket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  await new Promise((resolve) => stale.on('close', resolve));
  expect(lstatSync(agent.adminSocket).isSocket()).toBe(true);
  const again = await start();
  expect(again.fingerprint).toBe(agent.fingerprint);
  await again.close();

  writeFileSync(agent.adminSocket, '');
  await expect(start()).rejects.toThrow(/is not a socket/);
  rmSync(agent.adminSocket);
  config.runtimeDir = `/tmp/${'r'.repeat(100)}`;
  await expect(start()).rejects.toThrow(/longer than Linux allows/);
});

test("a second agent on the same state directory is refused before it touches anything, and a shared runtime directory is not the agent's", async () => {
  await start();
  const before = lines.length;
  config.runtimeDir = `${directory}/run2`;
  await expect(start()).rejects.toThrow(/running already.*felhom\.db/);
  expect(lines.slice(before)).toEqual([]);
  await Promise.all(running.splice(0).map((agent) => agent.close()));

  mkdirSync(join(directory, 'shared', 'theirs'), { recursive: true });
  chmodSync(join(directory, 'shared'), 0o755);
  config.runtimeDir = join(directory, 'shared');
  await expect(start()).rejects.toThrow(/open to others/);
  expect(statSync(join(directory, 'shared')).mode & 0o777).toBe(0o755);
});

test('the agent starts and answers without Proxmox, and says why it cannot enrol', async () => {
  config.proxmox = { ...config.proxmox, endpoint: 'https://127.0.0.1:1', configDir: `${directory}/nowhere` };
  const since = Date.now();
  await start();
  expect(Date.now() - since).toBeLessThan(3000);
  expect(lines.join('\n')).toContain('does not name this node');
  const refused = await felhom('guest', 'enroll', '101', '--print', '--config', configFile);
  expect([refused.status, refused.out, refused.err]).toEqual([1, '', expect.stringContaining('could not be asked')]);
});

test('an address that is not up yet stops nothing', async () => {
  config.listen = [...config.listen, { address: '192.0.2.77', port: 8443 }];
  const agent = await start();
  expect(agent.listen).toHaveLength(2);
  expect(lines.filter((line) => line.includes('cannot listen yet'))).toHaveLength(1);
  expect((await identity(agent.listen[0]?.port ?? 0, 'x')).code).toBe('token-unknown');
});

test.each<[string, () => void, RegExp]>([
  ['missing', () => rmSync(join(directory, 'token')), /is missing.*pveum/],
  ['readable by others', () => chmodSync(join(directory, 'token'), 0o640), /chmod 600/],
  [
    'a directory',
    () => {
      rmSync(join(directory, 'token'));
      mkdirSync(join(directory, 'token'));
    },
    /is not a file/,
  ],
  ['not a token', () => writeFileSync(join(directory, 'token'), 'root:secret'), /^(?!.*secret).*user@realm!name=uuid/],
])('a token file that is %s stops the start with what corrects it', async (_how, spoil, sentence) => {
  spoil();
  await expect(start()).rejects.toThrow(sentence);
  rmSync(join(directory, 'token'), { recursive: true, force: true });
  writeFileSync(join(directory, 'token'), 'felhom@pve!pve1=12345678-1234-1234-1234-123456789012\n', { mode: 0o600 });
});

test('a reload takes limits and backup over at once, and names what waits', async () => {
  const agent = await start();
  const next = { ...config, stateDir: '/elsewhere', limits: { requestsPerSecond: 1, streams: 1 } };
  expect(agent.reload(next)).toEqual({ atOnce: ['limits'], needRestart: ['state_dir'] });
  expect(agent.reload(next)).toEqual({ atOnce: [], needRestart: ['state_dir'] });
});

test('without a running agent: a sentence and the next step; config check and identity work', async () => {
  await (await start()).close();
  writeFileSync(join(directory, 'bad.yaml'), 'listen: [{address: 0.0.0.0, port: 1}]\nbackup: {max_age: 36}\n');
  const [list, good, bad, none, who, version, help] = await Promise.all([
    felhom('guest', 'list', '--config', configFile),
    felhom('config', 'check', '--config', configFile),
    felhom('config', 'check', '--config', join(directory, 'bad.yaml')),
    felhom('config', 'check', '--config', join(directory, 'none.yaml')),
    felhom('identity', '--json', '--config', configFile),
    felhomProcess('--version'),
    felhomProcess('guest', 'enroll', '--help'),
  ]);
  expect([list.status, list.out, list.err]).toEqual([1, '', expect.stringMatching(/does not run.*systemctl start/)]);
  expect([good.status, good.out]).toEqual([0, '']);
  expect([bad.status, bad.out.trim().split('\n')]).toEqual([
    2,
    [expect.stringMatching(/^listen\[0\]\.address is a wildcard/), expect.stringMatching(/^backup\.max_age/)],
  ]);
  expect([none.status, none.err]).toEqual([1, expect.stringContaining('no configuration')]);
  const certificate = new X509Certificate(readText(join(directory, 'state/tls.crt')));
  expect(JSON.parse(who.out).fingerprint).toBe(certificate.fingerprint256.replaceAll(':', '').toLowerCase());
  expect(version.out.trim()).toMatch(/^\d+\.\d+\.\d+$/);
  expect([help.status, help.out]).toEqual([0, expect.stringContaining('Exit status')]);
}, 60_000);

test('serve stops on SIGTERM, reloads on SIGHUP all or nothing, and does not start with a bad file', async () => {
  const free = await freePort();
  writeConfig(free);
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=source', join(ROOT, 'agent/main.ts'), 'serve', '--config', configFile],
    { cwd: ROOT },
  );
  let log = '';
  child.stderr.on('data', (chunk) => {
    log += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const said = (words: string) => expect.poll(() => log, { timeout: 20_000 }).toContain(words);
  await expect.poll(() => takesHangup(child.pid ?? 0), { timeout: 20_000, interval: 1 }).toBe(true);
  expect(log).not.toContain('The agent runs.');
  child.kill('SIGHUP');
  await said('The agent runs.');
  await said('changed="nothing"');
  writeConfig(free, 'limits: {streams: 9}');
  child.kill('SIGHUP');
  await said('changed="limits"');
  writeFileSync(configFile, 'listen: []\n');
  child.kill('SIGHUP');
  await said('Not reloaded: listen');
  expect((await identity(free, 'x')).status).toBe(401);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);

  const refused = await felhomProcess('serve', '--config', configFile);
  expect([refused.status, refused.err]).toEqual([1, expect.stringContaining('listen must be a list')]);
}, 60_000);

/** Whether a process has a handler for SIGHUP: the lowest bit of the mask in proc_pid_status(5). */
const takesHangup = (pid: number): boolean => /^SigCgt:.*[13579bdf]$/m.test(readText(`/proc/${pid}/status`));

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
