/**
 * README's walk through the three tiers of a format, run as it stands there on a terminal of its own (script(1)), over `npm run demo`:
 * blank, confirmed, signed. Then that nothing goes to the storage whose drive was erased (T43).
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labMissing, programsMissing } from '../system/drives/lab.ts';
import { leftOf, type RunningDemo, removeDemo, startDemo } from './demo.ts';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The commands of the chapter, and the function of the one before that they use. */
const walk = (): string => {
  const [, chapter = ''] = README.split('### Erase a drive, in three tiers');
  const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(chapter) ?? [];
  const [helper = ''] = /^demo\(\) .*$/m.exec(README) ?? [];
  return `${helper}\n${block}`;
};

/** What a person reads, and types then. */
type Answers = readonly (readonly [prompt: string, typed: string])[];

/** Runs commands of README on a terminal; resolves with all that was on the screen. */
const onTerminal = (cwd: string, commands: string, answers: Answers): Promise<string> =>
  new Promise((resolve, reject) => {
    const npx = `npx() { local program=$1; shift; "${process.execPath}" "${DIST}\${program#felhom-}/main.js" "$@"; }`;
    const child = spawn('script', ['-q', '-c', `bash -c '${`${npx}\n${commands}`.replaceAll("'", "'\\''")}'`, '/dev/null'], {
      cwd,
      env: { PATH: process.env.PATH, TERM: 'dumb', COLUMNS: '200', SHELL: '/bin/bash' },
    });
    let screen = '';
    let read = 0;
    const waiting = [...answers];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      for (const [prompt, typed] of waiting.slice(0, 1)) {
        const at = screen.indexOf(prompt, read);
        if (at === -1) return;
        read = at + prompt.length;
        waiting.shift();
        child.stdin.write(`${typed}\r`);
      }
    });
    const tooLong = setTimeout(() => child.kill('SIGKILL'), 90_000);
    child.once('close', () => {
      clearTimeout(tooLong);
      if (waiting.length === 0) resolve(screen.replaceAll('\r', ''));
      else reject(new Error(`never asked: ${waiting[0]?.[0]}\n${screen}`));
    });
  });

interface Written {
  pve: { endpoint: string; node: string; token: string };
  agent: { endpoint: string; fingerprint: string; config: string };
  guests: { vmid: number; token: string }[];
  devices: { blank: string; backup: string; user_data: string[] };
  opsign: { passphrase_file: string };
}

/** Proxmox's API, as anybody with the token may use it. */
const pve = ({ pve: { endpoint, token } }: Written, method: string, path: string, body = ''): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `PVEAPIToken=${token}`, 'content-type': 'application/x-www-form-urlencoded' };
    const sent = request(`${endpoint}/api2/json${path}`, { method, headers, rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve(text === '' ? null : JSON.parse(text).data));
    });
    sent.once('error', reject);
    sent.end(body);
  });

const lacking = labMissing || programsMissing('script', 'bash');

describe.skipIf(lacking !== '')(`README's walk through formats (skipped: ${lacking})`, { timeout: 120_000 }, () => {
  let demo: RunningDemo;
  let cwd = '';
  let written: Written;
  beforeAll(async () => {
    demo = startDemo();
    await demo.printed('The demo stays up.');
    written = JSON.parse(readFileSync(join(demo.dir, 'demo.json'), 'utf8'));
    cwd = mkdtempSync(join(tmpdir(), 'felhom-walk-'));
    symlinkSync(demo.dir, join(cwd, '.demo'));
  }, 90_000);
  afterAll(async () => {
    demo.child.kill('SIGINT');
    await demo.ended;
    expect(leftOf(demo.dir)).toEqual([]);
    await removeDemo(demo);
    rmSync(cwd, { recursive: true, force: true });
  }, 60_000);

  const archives = (): string[] => {
    const dump = join(demo.dir, 'storage/usb-backup/dump');
    return existsSync(dump) ? readdirSync(dump) : [];
  };

  test('by copy and paste: blank, confirmed, and signed; the storage stays out of use', async () => {
    expect(archives().length).toBeGreaterThan(0);
    const { blank, backup, user_data } = written.devices;
    const passphrase = readFileSync(written.opsign.passphrase_file, 'utf8').trimEnd();
    const screen = await onTerminal(cwd, walk(), [
      ['Its model: ', 'Portable SSD T7'],
      ['The last 4 characters of its serial number: ', '0103'],
      ['(Enter: later): ', ''],
      ['last 4 characters of its serial number:', '0102'],
      ['Passphrase of the key', passphrase],
    ]);
    const order = [
      `${blank} is formatted`,
      `${user_data[0]} is formatted`,
      'Only the operator can permit',
      'felhom-opsign -op storage_wipe -host ',
      'It is mounted at',
      'A BACKUP DRIVE is erased',
      'no signature overrides that',
      'The Proxmox storage "usb-backup" is disabled.',
      'usb-backup is unmounted.',
      `${backup} is formatted`,
      'This signature was used already',
      'The Proxmox storage "usb-backup" is out of use',
    ];
    expect(
      order.filter((text) => !screen.includes(text)),
      screen,
    ).toEqual([]);
    const places = order.map((text) => screen.indexOf(text));
    expect(places, screen).toEqual(places.toSorted((a, b) => a - b));
    expect(screen).toMatch(new RegExp(`^${backup} .*ext4 .*yours`, 'm'));
  });

  test('the next backup fails, and does not go to the host itself', async () => {
    expect(await pve(written, 'GET', '/storage')).toContainEqual(expect.objectContaining({ storage: 'usb-backup', disable: 1 }));
    const upid = await pve(written, 'POST', `/nodes/${written.pve.node}/vzdump`, 'vmid=101&storage=usb-backup&mode=snapshot');
    const status = `/nodes/${written.pve.node}/tasks/${encodeURIComponent(String(upid))}/status`;
    await expect
      .poll(() => pve(written, 'GET', status), { timeout: 20_000 })
      .toMatchObject({ status: 'stopped', exitstatus: expect.stringMatching(/disabled|job errors|could not/) });
    expect(archives()).toEqual([]);
    expect(readdirSync(join(demo.dir, 'storage/usb-backup'))).toEqual([]);
  });
});
