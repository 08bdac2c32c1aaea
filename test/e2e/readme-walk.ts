/** README's walk through the three tiers of a format, run as it stands there on a terminal of its own (script(1)). */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { fileURLToPath } from 'node:url';
import { programsMissing } from '../system/drives/lab.ts';

/** Why it cannot be run here; empty where it can. */
export const walkMissing = programsMissing('script', 'bash');

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The commands of the chapter, and the function of the one before that they use. */
export const walk = (): string => {
  const [, chapter = ''] = README.split('### Erase a drive, in three tiers');
  const [, block = ''] = /```sh\n([\s\S]*?)```/.exec(chapter) ?? [];
  const [helper = ''] = /^demo\(\) .*$/m.exec(README) ?? [];
  return `${helper}\n${block}`;
};

/** What a person reads, and types then. */
type Answers = readonly (readonly [prompt: string, typed: string])[];

/** Runs commands of README on a terminal; resolves with all that was on the screen. */
export const onTerminal = (cwd: string, commands: string, answers: Answers): Promise<string> =>
  new Promise((resolve, reject) => {
    const npx = `npx() { local program=$1; shift; "${process.execPath}" "${DIST}\${program#felhom-}/main.js" "$@"; }`;
    const child = spawn(
      '/usr/bin/script',
      ['-q', '-c', `bash -c '${`${npx}\n${commands}`.replaceAll("'", "'\\''")}'`, '/dev/null'],
      {
        cwd,
        env: { PATH: process.env.PATH, TERM: 'dumb', COLUMNS: '200', SHELL: '/bin/bash' },
      },
    );
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

/** Proxmox's API, as anybody with the token may use it. */
export const askProxmox = (
  { endpoint, token }: { endpoint: string; token: string },
  method: string,
  path: string,
  body = '',
): Promise<unknown> =>
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
