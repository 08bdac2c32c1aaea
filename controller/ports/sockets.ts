/** Who listens where in this network namespace: /proc/net/unix and /proc/net/tcp, by inode. proc_net(5). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Listening } from '../discover/findings.ts';

/** __SO_ACCEPTCON of linux/net.h. */
const LISTENS = 0x10000;
/** TCP_LISTEN of net/tcp_states.h. */
const TCP_LISTEN = '0A';

const ANY_4 = '00000000';
const ANY_6 = '0'.repeat(32);
const LOOPBACK_6 = `${'0'.repeat(24)}01000000`;

/** 32-bit words, each with its bytes in this machine's order: `0100007F` is 127.0.0.1. */
const reachable = (hex: string): '127.0.0.1' | '::1' | null => {
  if (hex === ANY_4 || hex === ANY_6 || hex === '0100007F') return '127.0.0.1';
  return hex === LOOPBACK_6 ? '::1' : null;
};

/** `0000…: 00000002 00000000 00010000 0001 01 12345 /run/x`; a path may have spaces in it. */
const unixLine = (line: string): [string, Listening][] => {
  const [, flags, inode, path] = /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (\/.*)$/.exec(line) ?? [];
  if (flags === undefined || inode === undefined || path === undefined) return [];
  return (Number.parseInt(flags, 16) & LISTENS) === 0 ? [] : [[inode, { kind: 'unix', path }]];
};

const tcpLine = (line: string): [string, Listening][] => {
  const fields = line.trim().split(/\s+/);
  const [, local = '', , state] = fields;
  const inode = fields[9];
  if (state !== TCP_LISTEN || inode === undefined) return [];
  const [address = '', port = ''] = local.split(':');
  return [[inode, { kind: 'tcp', address: reachable(address), port: Number.parseInt(port, 16) }]];
};

const linesOf = async (path: string): Promise<string[]> => (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(1);

/** @param proc usually /proc */
export const listeningSockets = async (proc: string): Promise<Map<string, Listening>> => {
  const [unix, tcp, tcp6] = await Promise.all(['unix', 'tcp', 'tcp6'].map((name) => linesOf(join(proc, 'net', name))));
  return new Map([...(unix ?? []).flatMap(unixLine), ...[...(tcp ?? []), ...(tcp6 ?? [])].flatMap(tcpLine)]);
};
