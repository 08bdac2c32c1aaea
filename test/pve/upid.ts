/** Unique process ids of tasks: `UPID:<node>:<pid>:<pstart>:<starttime>:<type>:<id>:<user>:`, upper-case hex. */

const UPID =
  /^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$/;

export interface Upid {
  upid: string;
  node: string;
  pid: number;
  pstart: number;
  /** Seconds since 1970. */
  starttime: number;
  type: string;
  id: string;
  /** `user@realm`, or `user@realm!token`. */
  fullUser: string;
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

export const formatUpid = (t: Omit<Upid, 'upid'>): string =>
  `UPID:${t.node}:${hex(t.pid, 8)}:${hex(t.pstart, 8)}:${hex(t.starttime, 8)}:${t.type}:${t.id}:${t.fullUser}:`;

export const parseUpid = (upid: string): Upid | undefined => {
  const m = UPID.exec(upid);
  if (!m) return undefined;
  const [, node = '', pid = '', pstart = '', starttime = '', type = '', id = '', fullUser = ''] = m;
  const number = (text: string) => Number.parseInt(text, 16);
  return { upid, node, pid: number(pid), pstart: number(pstart), starttime: number(starttime), type, id, fullUser };
};

/** `user@realm!token` in its two parts. */
export const splitTokenUser = (fullUser: string): { user: string; tokenid?: string } => {
  const at = fullUser.indexOf('!');
  return at < 0 ? { user: fullUser } : { user: fullUser.slice(0, at), tokenid: fullUser.slice(at + 1) };
};
